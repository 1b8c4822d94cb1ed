// The package as its users get it: packed, installed from the tarball into an app without any configuration, and run in Chromium from
// `vite build`, from `vite dev` and from webpack, on the page's thread and in a worker.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { chromium } from 'playwright-core'
import * as vite from 'vite'
import { serve } from '../e2e/serve.mjs'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
let app, packed

before(async () => {
  app = await mkdtemp(join(tmpdir(), 'tidelock-packaging-'))
  await cp(fileURLToPath(new URL('./vite-app', import.meta.url)), app, { recursive: true })
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
    ...['bg', 'migrations', 'tools', 'sync', 'encryption', 'stores', 'fts5'].map(
      (part) => `dist/tidelock_${part}.wasm`,
    ),
    'generated/instance.d.ts',
  ]) {
    assert.ok(files.includes(needed), `${needed} is missing`)
  }
  const strangers = files.filter(
    (path) => !/^(package\.json|[A-Z_]+\.md|LICENSE[^/]*|dist\/.*\.(js|d\.ts|wasm)|generated\/.*\.d\.ts)$/.test(path),
  )
  assert.deepEqual(strangers, [])
  const manifest = JSON.parse(await readFile(join(app, 'node_modules/tidelock/package.json'), 'utf8'))
  assert.equal(manifest.dependencies, undefined)
  assert.deepEqual(manifest.sideEffects, ['./dist/worker.js'])
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

test('vite build: the app runs without configuration and without cross-origin isolation', async () => {
  await vite.build({ root: app, logLevel: 'warn' })
  const server = await vite.preview({ root: app, preview: { port: 0, host: '127.0.0.1' }, logLevel: 'warn' })
  try {
    await visit(server.resolvedUrls.local[0])
  } finally {
    await server.close()
  }
})

test('vite dev: the app runs although the optimizer moves the module', async () => {
  const server = await vite.createServer({ root: app, server: { port: 0, host: '127.0.0.1' }, logLevel: 'warn' })
  try {
    await server.listen()
    await visit(server.resolvedUrls.local[0])
  } finally {
    await server.close()
  }
})

test('webpack: the app runs without configuration', async () => {
  const webpack = createRequire(new URL('./webpack/package.json', import.meta.url))('webpack')
  const output = join(app, 'webpack')
  const performance = { hints: false } // about the size of the wasm
  const compiler = webpack({
    mode: 'production',
    context: app,
    entry: './main.js',
    output: { path: output },
    performance,
  })
  const stats = await promisify(compiler.run.bind(compiler))()
  await promisify(compiler.close.bind(compiler))()
  const { errors, warnings } = stats.toJson({ all: false, errors: true, warnings: true })
  assert.deepEqual({ errors, warnings }, { errors: [], warnings: [] })
  const page = '<!doctype html><html lang="en"><meta charset="utf-8"><script src="main.js"></script></html>'
  const server = await serve({ folders: { '/': output }, files: { '/index.html': page } })
  try {
    await visit(`${server.url}/`)
  } finally {
    await server.close()
  }
})

/** Opens the app on both threads by turns in one browser profile: each visit finds the data of those before. */
async function visit(url) {
  const profile = await mkdtemp(join(tmpdir(), 'tidelock-profile-'))
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--disable-background-networking',
      '--disable-component-update',
    ],
  })
  try {
    const page = await browser.newPage()
    const complaints = []
    page.on('pageerror', (error) => complaints.push(String(error)))
    for (const visits of [1, 2, 3, 4]) {
      await page.goto(`${url}?thread=${visits % 2 === 0 ? 'worker' : 'current'}`)
      await page
        .waitForFunction(() => window.outcome, null, { timeout: 30_000 })
        .catch((error) => assert.fail(`${error}\n${complaints.join('\n')}`))
      const outcome = await page.evaluate(() => window.outcome)
      assert.deepEqual(
        outcome,
        { result: { rows: [{ visits, page: 'start' }], isolated: false } },
        complaints.join('\n'),
      )
    }
    assert.deepEqual(complaints, [])
  } finally {
    await browser.close()
    await rm(profile, { recursive: true, force: true })
  }
}
