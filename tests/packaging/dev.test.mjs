// The option `dev` in pages: a production build refuses it even on localhost, the development server and a page without a bundler take it.
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import * as vite from 'vite'
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
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium' })
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
