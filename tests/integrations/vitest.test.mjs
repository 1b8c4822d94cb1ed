// The recipes of docs/testing.md: their files, run by Vitest in Node, jsdom, happy-dom and Chromium, with the package installed as a copy.

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { chromiumPath } from '../e2e/browser.mjs'
import { blocksOf, textOf } from '../node/documents/blocks.mjs'

const project = fileURLToPath(new URL('vitest/', import.meta.url))
const source = fileURLToPath(new URL('../../pkg-js/', import.meta.url))
const tsc = fileURLToPath(new URL('../../node_modules/.bin/tsc', import.meta.url))

/** The files of the document by heading and name: a block's first line names it. */
const files = new Map()
for (const { id, code } of blocksOf('docs/testing.md', textOf('docs/testing.md'))) {
  const name = /^\/\/ (\S+)\n/.exec(code)?.[1]
  const heading = id.replace(/^.*: /, '').replace(/ \(\d+\)$/, '')
  files.set(`${heading}: ${name}`, code)
}

const inNode = [
  'Vitest in Node, jsdom and happy-dom: todos.test.ts',
  'A remote in memory: sync.test.ts',
  'A clock: clock.test.ts',
  'A storage that fails: faults.test.ts',
]
const configOfNode = 'Vitest in Node, jsdom and happy-dom: vitest.config.ts'
const configOfBrowser = 'Vitest in a browser: vitest.config.ts'
const inBrowser = ['Vitest in a browser: notes.test.ts', ...inNode.slice(0, 3)]

/** The environments: their config, the tests that run there, and how many these are. */
const environments = {
  node: { config: configOfNode, fill: ["'jsdom'", "'node'"], recipes: inNode, tests: 6 },
  jsdom: { config: configOfNode, fill: ["'jsdom'", "'jsdom'"], recipes: inNode, tests: 6 },
  'happy-dom': { config: configOfNode, fill: ["'jsdom'", "'happy-dom'"], recipes: inNode, tests: 6 },
  browser: {
    config: configOfBrowser,
    // The Chromium of the machine, for that of Playwright's download.
    fill: ['playwright()', `playwright({ launchOptions: { executablePath: '${chromiumPath()}' } })`],
    recipes: inBrowser,
    tests: 6,
  },
}

before(() => {
  const installed = path.join(project, 'node_modules/tidelock')
  rmSync(installed, { recursive: true, force: true })
  for (const name of ['package.json', 'dist', 'generated'])
    cpSync(path.join(source, name), path.join(installed, name), { recursive: true })
})

test('each file of the document is part of a recipe', () => {
  assert.deepEqual(
    [...files.keys()].toSorted(),
    [...new Set([configOfNode, configOfBrowser, ...inNode, ...inBrowser])].toSorted(),
  )
})

test('the tests of the document compile strictly', () => {
  const root = mkdtempSync(path.join(project, 'run-'))
  try {
    const names = [...new Set([...inNode, ...inBrowser])].map((recipe) => {
      const file = path.join(root, recipe.replace(/^.*: /, ''))
      writeFileSync(file, files.get(recipe))
      return file
    })
    const options = ['--strict', '--noEmit', '--skipLibCheck', '--target', 'es2022', '--module', 'esnext']
    const { stdout } = spawnSync(tsc, [...options, '--moduleResolution', 'bundler', '--types', 'node', ...names], {
      cwd: root,
      encoding: 'utf8',
    })
    assert.equal(stdout, '')
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
})

/** Those that differ most, or all with TIDELOCK_ALL=1. */
const chosen = Object.entries(environments).filter(
  ([name]) => process.env.TIDELOCK_ALL || ['node', 'browser'].includes(name),
)

for (const [environment, { config, fill, recipes, tests }] of chosen) {
  test(`Vitest in ${environment}`, { timeout: 180_000 }, async () => {
    const root = mkdtempSync(path.join(project, 'run-'))
    try {
      const text = files.get(config)
      assert.ok(text.includes(fill[0]))
      writeFileSync(path.join(root, 'vitest.config.ts'), text.replace(...fill))
      for (const recipe of recipes) writeFileSync(path.join(root, recipe.replace(/^.*: /, '')), files.get(recipe))
      const { output, report } = await vitest(root)
      const results = report?.testResults.flatMap(({ assertionResults }) => assertionResults) ?? []
      const passed = results.filter(({ status }) => status === 'passed')
      assert.deepEqual([passed.length, results.length], [tests, tests], output)
    } finally {
      rmSync(root, { recursive: true, force: true })
    }
  })
}

/** Runs Vitest in a folder → its output and its report. */
async function vitest(root) {
  const report = path.join(root, 'report.json')
  // With as much time as other tests have on a busy machine: 5 s are for a user's own.
  const args = ['run', '--root', root, '--testTimeout=120000', '--reporter=default', '--reporter=json']
  args.push(`--outputFile.json=${report}`)
  const child = spawn(process.execPath, [path.join(project, 'node_modules/vitest/vitest.mjs'), ...args], {
    cwd: root,
    env: { ...process.env, NO_COLOR: '1' },
    timeout: 150_000,
  })
  let output = ''
  child.stdout.on('data', (data) => (output += data))
  child.stderr.on('data', (data) => (output += data))
  await new Promise((resolve) => child.on('close', resolve))
  return { output, report: await readFile(report, 'utf8').then(JSON.parse, () => undefined) }
}
