// The package as its users get it: packed, installed from the tarball into an app, and run in Node. bundlers.test.mjs drives it in pages.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
let app, packed

before(async () => {
  app = await mkdtemp(join(tmpdir(), 'tidelock-packaging-'))
  await cp(fileURLToPath(new URL('./app', import.meta.url)), app, { recursive: true })
  const { stdout } = await run('npm', ['pack', './pkg-js', '--json', '--pack-destination', app], { cwd: root })
  const answer = JSON.parse(stdout)
  packed = Array.isArray(answer) ? answer[0] : Object.values(answer)[0] // npm 10, npm 11
  await run('npm', ['install', `./${packed.filename}`, '--offline', '--no-audit', '--no-fund'], { cwd: app })
})

after(() => rm(app, { recursive: true, force: true }))

test('the tarball holds the module, its types, the wasm, and nothing that is not for users', async () => {
  const files = packed.files.map(({ path }) => path)
  for (const needed of [
    'package.json',
    'dist/index.js',
    'dist/index.d.ts',
    'dist/node-files.js',
    'dist/worker.js',
    ...['bg', 'migrations', 'tools', 'sync', 'encryption', 'stores', 'live', 'fts5'].map(
      (part) => `dist/tidelock_${part}.wasm`,
    ),
    'dist/worker.d.ts',
  ]) {
    assert.ok(files.includes(needed), `${needed} is missing`)
  }
  const allowed = [
    /^(package\.json|[A-Z_]+\.md|LICENSE[^/]*)$/,
    /^docs\/(reference\/)?[\w-]+\.(md|svg|png)$/,
    /^llms(-full)?\.txt$/,
    /^dist\/.*\.(js|js\.map|wasm)$/,
    /^dist\/((integrations\/[\w-]+\/)?index|worker)\.d\.ts$/,
  ]
  const strangers = files.filter((path) => !allowed.some((pattern) => pattern.test(path)))
  assert.deepEqual(strangers, [])
  const manifest = JSON.parse(await readFile(join(app, 'node_modules/tidelock/package.json'), 'utf8'))
  assert.equal(manifest.dependencies, undefined)
  assert.deepEqual(manifest.sideEffects, ['./dist/worker.js', './dist/integrations/inspector/index.js'])
  assert.equal(Object.keys(manifest.exports['.'])[0], 'types')
})

test('the tarball has a notice of each crate that the wasm is made of, and of what is bundled', async () => {
  const notices = await readFile(join(app, 'node_modules/tidelock/THIRD_PARTY_NOTICES.md'), 'utf8')
  const { stdout } = await run(
    'cargo',
    ['tree', '--target', 'wasm32-unknown-unknown', '--edges', 'normal,no-proc-macro', '--prefix', 'none', '--locked'],
    { cwd: root },
  )
  const crates = stdout.match(/^[\w-]+ v[\d.]+/gm).filter((crate) => !crate.startsWith('tidelock'))
  assert.ok(crates.length > 20)
  for (const each of [...crates.map((crate) => crate.replace(' v', ' ')), 'croner'])
    assert.match(notices, new RegExp(`^(- |## .*: )${each}\\b`, 'm'))
})

test('the wasm has paths of sources, and none with a folder of the machine that built it', async () => {
  const files = packed.files.map(({ path }) => path).filter((path) => path.endsWith('.wasm'))
  const texts = await Promise.all(files.map((path) => readFile(join(app, 'node_modules/tidelock', path), 'latin1')))
  assert.ok(texts.some((text) => text.includes('src/wasm/statements.rs')))
  for (const [index, text] of texts.entries())
    for (const folder of [homedir(), root, '/registry/src/', '/rustlib/'])
      assert.ok(!text.includes(folder), `${files[index]} has ${folder}`)
})

test('importing the package touches no browser global; in Node it keeps its data in a folder if it is told to', async () => {
  await writeFile(
    join(app, 'node.mjs'),
    `
    for (const name of ['window', 'document', 'navigator', 'indexedDB', 'localStorage', 'Worker', 'BroadcastChannel', 'fetch']) {
      Object.defineProperty(globalThis, name, { configurable: true, get() { throw new Error('touched ' + name) } })
    }
    const { open } = await import('tidelock')
    for (const name of ['window', 'document', 'navigator', 'indexedDB', 'localStorage', 'Worker', 'BroadcastChannel', 'fetch']) {
      delete globalThis[name]
    }
    const db = await open({ name: 'node', storage: 'file' })
    await db.exec('CREATE TABLE IF NOT EXISTS visits (n); INSERT INTO visits VALUES (1)')
    console.log(JSON.stringify(await db.query('SELECT count(*) AS visits FROM visits')))
    await db.close()
    const error = await open({ name: 'server' }).then(() => null, (error) => error)
    console.log(JSON.stringify({ code: error?.code, hint: typeof error?.hint, name: error?.name }))
    const noWorker = await open({ name: 'node', storage: 'file', thread: 'worker' }).then(() => null, (error) => error)
    console.log(JSON.stringify(noWorker?.code))
  `,
  )
  for (const visits of [1, 2]) {
    const { stdout, stderr } = await run(process.execPath, ['node.mjs'], { cwd: app })
    const [rows, error, noWorker] = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    assert.deepEqual(rows, [{ visits }], stderr)
    assert.equal(noWorker, 'unsupported_environment')
    assert.deepEqual(error, { code: 'unsupported_environment', hint: 'string', name: 'TidelockError' })
  }
  assert.ok((await readdir(join(app, 'node.tidelock'))).includes('journal.1'))
  assert.ok(!(await readdir(app)).includes('server.tidelock'))
})

test('the types compile in a strict TypeScript program', async () => {
  const options = ['--strict', '--noEmit', '--target', 'es2022', '--lib', 'es2022,esnext.disposable,dom,dom.iterable']
  for (const resolution of [
    ['--module', 'esnext', '--moduleResolution', 'bundler'],
    ['--module', 'nodenext'],
  ]) {
    await run(join(root, 'node_modules/.bin/tsc'), [...options, ...resolution, '--types', '', 'consumer.ts'], {
      cwd: app,
    }).catch((error) => {
      assert.fail(error.stdout || error.message)
    })
  }
})
