// The option `dev` in pages: a production build refuses it even on localhost, the development server and a page without a bundler take it.
// With the files of docs/start-react.md, an edited migration reloads the page and resets the database.
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import * as vite from 'vite'
import { chromium, shellPath } from '../e2e/browser.mjs'
import { serve } from '../e2e/serve.mjs'

const dist = fileURLToPath(new URL('../../pkg-js/dist/', import.meta.url))
const program = `
  import { open } from 'tidelock'
  const opened = open({ name: 'dev', storage: 'memory', dev: true })
  window.outcome = await opened.then(() => 'opened', (error) => error.code + ' ' + error.details.option)
`
let app, browser
before(async () => {
  app = await mkdtemp(join(tmpdir(), 'tidelock-dev-'))
  await writeFile(join(app, 'index.html'), '<!doctype html><script type="module" src="./main.js"></script>')
  await writeFile(join(app, 'main.js'), program)
  browser = await chromium.launch({ executablePath: shellPath() })
})
// Vite sets it, and keeps what it finds.
beforeEach(() => {
  delete process.env.NODE_ENV
})
after(async () => {
  await browser?.close()
  await rm(app, { recursive: true, force: true })
})

const config = () => ({
  root: app,
  logLevel: 'warn',
  configFile: false,
  resolve: { alias: { tidelock: `${dist}index.js` } },
  server: { port: 0, host: '127.0.0.1', fs: { strict: false } },
  preview: { port: 0, host: '127.0.0.1' },
  build: { target: 'es2022' },
})

/** Returns what became of the opening in a page. */
async function outcome(url) {
  const page = await browser.newPage()
  try {
    await page.goto(url)
    return await page
      .waitForFunction(() => window.outcome, null, { timeout: 30_000 })
      .then((found) => found.jsonValue())
  } finally {
    await page.close()
  }
}

test('a production build of Vite refuses it', async () => {
  await vite.build(config())
  const server = await vite.preview(config())
  try {
    assert.equal(await outcome(server.resolvedUrls.local[0]), 'invalid_argument dev')
  } finally {
    await server.close()
  }
})

test("Vite's development server takes it", async () => {
  const server = await vite.createServer(config())
  try {
    await server.listen()
    assert.equal(await outcome(server.resolvedUrls.local[0]), 'opened')
  } finally {
    await server.close()
  }
})

test('a page without a bundler takes it on localhost', async () => {
  const files = {
    '/index.html': '<!doctype html><script type="module" src="/main.js"></script>',
    '/main.js': program.replace("'tidelock'", "'/tidelock/index.js'"),
  }
  const server = await serve({ folders: { '/tidelock/': dist }, files })
  try {
    assert.equal(await outcome(server.url), 'opened')
  } finally {
    await server.close()
  }
})

/** A module that Vite replaces in the page, as Fast Refresh does with components. It opens the database and reads its columns. */
const component = `
  import { database } from './db'
  window.outcome = await database().then(
    async (db) => {
      await db.run("INSERT INTO notes (body) VALUES ('Buy tea')")
      const snapshots = await db.snapshots.list()
      return [...Object.keys(await db.get('SELECT * FROM notes')), ...snapshots.map(({ reason }) => reason)].join(' ')
    },
    (error) => String(error),
  )
  import.meta.hot.accept()
`

test('an edited migration reloads the page, also below a module that is replaced, and resets the database', async () => {
  const root = await mkdtemp(join(tmpdir(), 'tidelock-edited-'))
  const text = await readFile(new URL('../../docs/start-react.md', import.meta.url), 'utf8')
  const files = { 'index.html': '<!doctype html><script type="module" src="/src/main.js"></script>' }
  for (const [code, file] of text.matchAll(/^(?:--|\/\/) (\S+\.(?:sql|ts))\n[\s\S]*?(?=^```)/gm)) files[file] = code
  await Promise.all(['src', 'migrations'].map((folder) => mkdir(join(root, folder))))
  for (const [file, code] of Object.entries({
    ...files,
    'src/main.js': "import './component'",
    'src/component.js': component,
  }))
    await writeFile(join(root, file), code)
  const server = await vite.createServer({ ...config(), root })
  const page = await browser.newPage()
  const becomes = (outcome) =>
    page
      .waitForFunction((expected) => window.outcome === expected, outcome, { timeout: 30_000 })
      .catch(async (error) => {
        assert.fail(`${error}\n${await page.evaluate(() => window.outcome)}`)
      })
  try {
    await server.listen()
    await page.goto(server.resolvedUrls.local[0])
    await becomes('id body updated_at')
    // Another edit replaces the module, and the page keeps the database.
    await page.evaluate(() => {
      window.isSame = true
      window.outcome = undefined
    })
    await writeFile(join(root, 'src/component.js'), `${component}// edited`)
    await becomes('id body updated_at')
    assert.equal(await page.evaluate(() => window.isSame), true)
    const sql = 'migrations/0001_notes.sql'
    await writeFile(
      join(root, sql),
      files[sql].replace('body TEXT NOT NULL,', 'body TEXT NOT NULL,\n  pinned INTEGER,'),
    )
    await becomes('id body pinned updated_at safety')
  } finally {
    await page.close()
    await server.close()
    await rm(root, { recursive: true, force: true })
  }
})
