// Firefox and WebKit (Safari's engine) with one interface: `start()`, `page()`, `dispose()`; a page has `goto`, `evaluate` and `close`.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import puppeteer from 'puppeteer-core'
import { until } from '../scenarios/run/context.mjs'

/** How long a script in a page, or a page that loads, may take, in milliseconds. */
const TIMEOUT_MS = 60_000

/** What Firefox needn't do when it starts, about a sixth of that: look for extensions, and ask for settings. */
const QUICK_START = {
  'extensions.autoDisableScopes': 0,
  'extensions.enabledScopes': 0,
  'extensions.installDistroAddons': false,
  'services.settings.server': 'data:,none',
}

/** Firefox speaks WebDriver BiDi itself. It keeps its profile when it is killed and started again. */
export class Firefox {
  #profile = mkdtempSync(path.join(tmpdir(), 'tidelock-firefox-'))
  #preferences
  #browser

  constructor(preferences = {}) {
    this.#preferences = preferences
  }

  async start() {
    this.#browser = await puppeteer.launch({
      browser: 'firefox',
      executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr',
      userDataDir: this.#profile,
      extraPrefsFirefox: { ...QUICK_START, ...this.#preferences },
      protocolTimeout: TIMEOUT_MS,
    })
  }

  /** A new tab. */
  page() {
    return this.#browser.newPage()
  }

  /** `kill -9` of all its processes; resolves when Firefox has ended, and Puppeteer has put the profile's preferences back. */
  async kill() {
    process.kill(-this.#browser.process().pid, 'SIGKILL') // Puppeteer gives it a process group of its own
    await this.#browser.close().catch(() => {})
  }

  async dispose() {
    await this.#browser?.close()
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
  }
}

/**
 * As root it has no sandbox. WebAssembly is interpreted: once in some 300 pages, code that the compilers of WebKitGTK 2.50 have made reads out
 * of bounds in functions that only read within them (`str::get`, `sqlite3WhereBegin`), or returns a wrong number. Without the last one of
 * the two compilers it happens, too.
 */
const WEBKIT_ENV = { WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: '1', JSC_useBBQJIT: '0', JSC_useOMGJIT: '0' }

/** WebKitGTK, by the WebDriver program that comes with it. What it stores ends with its session. */
export class WebKit {
  #driver
  #session
  #first // the window that the session began with, which stays

  async start() {
    const port = await freePort()
    this.#driver = spawn('xvfb-run', ['-a', 'WebKitWebDriver', `--port=${port}`, '--host=127.0.0.1'], {
      stdio: 'ignore',
      detached: true, // a process group of its own, since xvfb-run leaves its children behind
      env: { ...process.env, ...WEBKIT_ENV },
    })
    // Who stops the tests stops the group too, as Puppeteer sees to it for Firefox.
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
      process.once(signal, () => {
        process.kill(-this.#driver.pid)
        process.exit(1)
      })
    const sessions = `http://127.0.0.1:${port}/session`
    const binary = process.env.MINI_BROWSER ?? '/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser'
    const alwaysMatch = {
      'webkitgtk:browserOptions': { binary, args: ['--automation'] },
      timeouts: { script: TIMEOUT_MS, pageLoad: TIMEOUT_MS },
    }
    const failed = once(this.#driver, 'error').then(([error]) => Promise.reject(error))
    await Promise.race([failed, until(() => fetch(`http://127.0.0.1:${port}/status`).catch(() => false), 20_000)])
    const { sessionId } = await command('POST', sessions, { capabilities: { alwaysMatch } })
    this.#session = `${sessions}/${sessionId}`
    this.#first = await command('GET', `${this.#session}/window`)
  }

  /** A new window, since WebKit slows the timers of hidden tabs to one a second. */
  async page() {
    await command('POST', `${this.#session}/window`, { handle: this.#first }) // the current one may be closed
    const { handle } = await command('POST', `${this.#session}/window/new`, { type: 'window' })
    return new WebKitPage(this.#session, handle)
  }

  async dispose() {
    if (this.#session) await command('DELETE', this.#session).catch(() => {}) // the group is ended in any case
    if (this.#driver?.pid === undefined || this.#driver.exitCode !== null) return
    const ended = once(this.#driver, 'exit')
    process.kill(-this.#driver.pid)
    await ended
  }
}

/** A window. WebDriver's commands are for the one that was switched to, so one is asked at a time. */
class WebKitPage {
  #session
  #handle

  constructor(session, handle) {
    this.#session = session
    this.#handle = handle
  }

  async #command(method, name, parameters) {
    await command('POST', `${this.#session}/window`, { handle: this.#handle })
    return command(method, `${this.#session}/${name}`, parameters)
  }

  goto(url) {
    return this.#command('POST', 'url', { url })
  }

  /** Runs a function in the page: its arguments and result are JSON. */
  async evaluate(work, ...args) {
    const script = `const done = arguments[1]
      const shown = (error) => [error, error?.stack, JSON.stringify(error?.details), error?.cause && shown(error.cause)].filter(Boolean).join('\\n')
      Promise.resolve(arguments[0]).then((args) => (${work})(...args)).then((value) => done({ value }), (error) => done({ error: shown(error) }))`
    const { value, error } = await this.#command('POST', 'execute/async', { script, args: [args] })
    if (error !== undefined) throw new Error(error)
    return value
  }

  close() {
    return this.#command('DELETE', 'window')
  }
}

/** A command of the WebDriver protocol → its value. */
async function command(method, url, parameters) {
  const response = await fetch(url, { method, body: parameters && JSON.stringify(parameters) })
  const { value } = await response.json()
  if (!response.ok) throw new Error(`${method} ${url}: ${value.error}: ${value.message}`)
  return value
}

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}
