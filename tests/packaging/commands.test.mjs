// What build.sh and its scripts make of their arguments, before anything is built.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { appendFileSync, cpSync, mkdtempSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { serve } from '../e2e/serve.mjs'

const root = fileURLToPath(new URL('../../', import.meta.url))

function run(program, words, cwd = root) {
  const { status, stdout, stderr } = spawnSync(program, words, { cwd, encoding: 'utf8' })
  return { status, stdout, stderr }
}

async function inFolder(use) {
  const folder = mkdtempSync(path.join(tmpdir(), 'tidelock-commands-'))
  try {
    await use(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

test('wrong arguments end at once with 2, and what is wrong', () => {
  const wrong = [
    ['nosuch', /no verb 'nosuch'/],
    ['clean foo', /clean takes no arguments, not 'foo'/],
    ['build --fast', /build takes no arguments/],
    ['demo --chek', /'--chek'/],
    ['demo --port 99999', /99999/],
    ['demo --port', /--port/],
    ['demo --shots x', /--shots needs --check/],
    ['test --parts --changd', /'--changd'/],
    ['test --parts --changed HEAD native', /one commit/],
    ['test --parts native --changed', /one commit/],
    ['test --parts --changed nosuch', /'nosuch'/],
    ['release', /release X.Y.Z/],
    ['simulate --seeds', /--seeds wants a number/],
    ['simulate sync --seed x', /--seed wants a number, not 'x'/],
    ['simulate kills --rounds', /--rounds wants a number/],
    ['simulate fast', /no option 'fast'/],
  ]
  for (const [words, what] of wrong) {
    const { status, stderr } = run('./build.sh', words.split(' '))
    assert.equal(status, 2, words)
    assert.match(stderr, what)
    assert.doesNotMatch(stderr, /\n +at /, words)
  }
})

test('--help is the help, of each verb', () => {
  for (const words of [['help'], ['--help'], ['demo', '--help'], ['test', '-h'], ['simulate', '--help']]) {
    const { status, stdout } = run('./build.sh', words)
    assert.equal(status, 0)
    assert.match(stdout, /^usage: /)
  }
})

test('through a link, build.sh works on its own clone', () =>
  inFolder((folder) => {
    symlinkSync(path.join(root, 'build.sh'), path.join(folder, 'link'))
    const { status, stdout } = run('./link', ['test', '--parts', 'rustfmt'], folder)
    assert.deepEqual([status, stdout], [0, 'lint\n'])
  }))

test('a test file is found under each spelling of its path', () => {
  for (const file of ['tests/node/lock.test.mjs', './tests/node/lock.test.mjs', `${root}tests/node/lock.test.mjs`])
    assert.equal(run('node', ['scripts/test.mjs', '--parts', file]).stdout, 'node\n')
  assert.equal(run('node', ['scripts/test.mjs', '--parts', 'pkg-js/test/tabs.test.mjs']).stdout, 'typescript\n')
})

test('--changed runs what a change can affect', () =>
  inFolder((folder) => {
    const clone = path.join(folder, 'clone')
    const git = (...words) =>
      execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@localhost', ...words], {
        cwd: clone,
        stdio: 'pipe',
      })
    execFileSync('git', ['clone', '--quiet', '--depth', '1', `file://${root}`, clone], { stdio: 'pipe' })
    for (const file of ['test.mjs', 'run-step.mjs']) cpSync(`${root}scripts/${file}`, `${clone}/scripts/${file}`)
    git('add', '--all')
    git('commit', '--quiet', '--allow-empty', '--message', 'The present scripts')
    const parts = (change) => {
      change()
      const { stdout } = run('node', ['scripts/test.mjs', '--parts', '--changed'], clone)
      git('reset', '--quiet', '--hard')
      git('clean', '--quiet', '--force', '-d')
      return stdout.split('\n').filter(Boolean).sort().join(' ')
    }
    const append = (file) => () => appendFileSync(`${clone}/${file}`, '\n')
    assert.equal(
      parts(() => {}),
      '',
    )
    assert.equal(parts(append('pkg-js/test/tabs.test.mjs')), 'lint typescript')
    assert.equal(parts(append('tests/node/lock.test.mjs')), 'lint node')
    assert.equal(
      parts(() => rmSync(`${clone}/tests/node/lock.test.mjs`)),
      'lint',
    )
    assert.equal(parts(append('docs/übersicht.md')), 'docs e2e node packaging')
    assert.match(
      parts(() => {
        renameSync(`${clone}/tests/remote/index.mjs`, `${clone}/tests/fuzz/index.mjs`)
        git('add', '--all')
      }),
      /e2e .*native/,
    )
  }))

test('a port that is taken is reported before anything starts', async () => {
  const taken = createServer()
  await new Promise((resolve) => taken.listen(0, '127.0.0.1', resolve))
  try {
    const { port } = taken.address()
    const { status, stderr } = run('node', ['www/demo.mjs', '--port', String(port)])
    assert.equal(status, 1)
    assert.match(stderr, new RegExp(`port ${port} can't be used`))
    assert.doesNotMatch(stderr, /\n +at /)
  } finally {
    taken.close()
  }
})

test('the server of pages refuses a malformed URL, and goes on', async () => {
  const server = await serve({ files: { '/a': 'here' } })
  try {
    assert.equal((await fetch(`${server.url}/%E0%A4%A`)).status, 400)
    assert.equal(await (await fetch(`${server.url}/a`)).text(), 'here')
  } finally {
    await server.close()
  }
})
