// An app in a folder of its own with the packed package, built by a tool as its users call it, and driven in Chromium.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { stripVTControlCharacters } from 'node:util'
import { Browser } from '../e2e/browser.mjs'
import { packed } from '../e2e/package.mjs'
import { serve } from '../e2e/serve.mjs'
import { record } from './targets.mjs'

export const here = (relative) => fileURLToPath(new URL(relative, import.meta.url))

/** Registers the test of a target: its app is made, see {@link withApp}, `use` drives it, and the document gets its row. */
export function target(name, options, use) {
  test(name, async () => {
    await withApp(options, use)
    record(name)
  })
}

/**
 * Calls `use` with a folder that has the shared app, the packed package and, under their names, the tools of `tools` (a folder of node_modules
 * each). `parts` are folders of this one whose files are added; `inside` puts the app into a folder of a monorepo, which has node_modules in
 * its root. Removes the folder at the end.
 */
export async function withApp({ tools = {}, parts = [], inside = '' }, use) {
  // Deno keeps programs away from /dev, where the tests have their temporary files.
  const disk = tmpdir().startsWith('/dev') ? '/tmp' : tmpdir()
  const root = mkdtempSync(path.join(disk, 'tidelock-app-'))
  try {
    const folder = path.join(root, inside)
    for (const part of ['app', ...parts]) cpSync(here(part), folder, { recursive: true })
    const workspace = { private: true, workspaces: [inside] }
    if (inside !== '') writeFileSync(path.join(root, 'package.json'), JSON.stringify(workspace))
    install(root, tools)
    await use(folder)
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

/** Puts the packed package and links to tools into the node_modules of a folder. */
export function install(folder, tools = {}) {
  const modules = path.join(folder, 'node_modules')
  rmSync(path.join(modules, 'tidelock'), { recursive: true, force: true })
  cpSync(packed(), path.join(modules, 'tidelock'), { recursive: true })
  for (const [name, source] of Object.entries(tools)) {
    mkdirSync(path.dirname(path.join(modules, name)), { recursive: true })
    symlinkSync(here(source), path.join(modules, name))
  }
}

/** Runs a program in a folder to its end → its output. A failure has the output in its message. */
export async function run(folder, program, words) {
  const { code, output } = await runToEnd(folder, program, words)
  assert.equal(code, 0, `${program} ${words.join(' ')}: ${output}`)
  return output
}

/** Runs a program in a folder to its end → `{ code, output }`. */
export async function runToEnd(folder, program, words) {
  const child = start(folder, program, words, {})
  const [code] = await once(child.process, 'close')
  return { code, output: child.output() }
}

/** Starts a server as a program → `{ url, close() }`, as soon as its output has an address. */
export async function startServer(folder, program, words, env = {}) {
  const child = start(folder, program, words, env)
  const closed = once(child.process, 'close')
  const address = new Promise((resolve) => {
    const look = () => {
      const text = stripVTControlCharacters(child.output())
      const found = text.match(/http:\/\/(?:localhost|127\.0\.0\.1):\d+/)
      if (found !== null) resolve(found[0])
    }
    child.process.stdout.on('data', look)
  })
  const url = await Promise.race([address, closed.then(() => undefined)])
  const close = async () => {
    // The whole group: tools start processes of their own.
    if (child.process.exitCode === null) process.kill(-child.process.pid, 'SIGTERM')
    await closed
  }
  if (url === undefined) assert.fail(`${program} ${words.join(' ')}: ${child.output()}`)
  return { url, close }
}

function start(folder, program, words, env) {
  const process_ = spawn(program, words, {
    cwd: folder,
    env: { ...process.env, CI: '1', NO_COLOR: '1', NEXT_TELEMETRY_DISABLED: '1', NODE_ENV: undefined, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  let output = ''
  for (const stream of [process_.stdout, process_.stderr])
    stream.on('data', (text) => {
      output += text
    })
  return { process: process_, output: () => output }
}

/** Returns what visits apps in the browser that all tests of a file share. */
export function visitor() {
  const browser = new Browser()
  before(() => browser.start())
  after(() => browser.dispose())
  return {
    /** Visits the app that folders have, at an address. */
    async folders(folders, options = {}, address = '/') {
      const server = await serve({ folders, ...options })
      try {
        await visitApp(browser, `${server.url}${address}`)
      } finally {
        await server.close()
      }
    },
    /** Visits the app at a server that is a program. */
    async server(folder, program, words) {
      const server = await startServer(folder, program, words)
      try {
        await visitApp(browser, `${server.url}/`)
      } finally {
        await server.close()
      }
    },
    /** Visits the app, and ends its server after two visits, when its service worker is ready. */
    async untilOffline(folder) {
      // As many servers do, Vite's among them.
      const server = await serve({ folders: { '/': folder }, headersOf: () => ({ vary: 'Origin' }) })
      let closing
      const close = () => {
        closing ??= server.close()
        return closing
      }
      try {
        await visitApp(browser, `${server.url}/`, close)
      } finally {
        await close()
      }
    },
  }
}

/**
 * Visits the app on both threads by turns: each visit finds the data of those before. Fails for whatever the page complains about. `goOffline`
 * is called after two visits.
 */
async function visitApp(browser, url, goOffline) {
  // Addresses are used again within a run.
  const name = randomUUID()
  const page = await browser.page()
  const complaints = []
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()))
  for (const visits of [1, 2, 3, 4]) {
    if (visits === 3 && goOffline !== undefined) {
      await page.evaluate(() => navigator.serviceWorker.ready)
      await goOffline()
    }
    await page.goto(`${url}?name=${name}&thread=${visits % 2 === 0 ? 'worker' : 'current'}`)
    await page
      .waitForFunction(() => window.outcome, null, { timeout: 60_000 })
      .catch((error) => assert.fail(`${error}\n${complaints.join('\n')}`))
    const outcome = await page.evaluate(() => window.outcome)
    assert.deepEqual(outcome, { visits, status: 'ok', isolated: false }, complaints.join('\n'))
  }
  assert.deepEqual(complaints, [])
  await page.evaluate(async () => {
    for (const worker of await navigator.serviceWorker.getRegistrations()) await worker.unregister()
  })
  await page.close()
}

/** Returns a page with one script. */
export function pageOf(script, attributes = 'type="module"', head = '') {
  return `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">${head}<script src="/${script}" ${attributes}></script>`
}
