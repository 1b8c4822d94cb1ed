// Headless Chromium on a profile of its own, which can be closed, killed in the middle of work, and started again.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { LATE_TIER_UP } from './v8.mjs'

// As CommonJS: `import` would read all of it once more, for the names of its exports, which takes each file of tests a quarter of a second.
export const { chromium } = createRequire(import.meta.url)('playwright-core')

const FLAGS = [
  ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
  ...LATE_TIER_UP.map((flag) => `--js-flags=${flag}`),
]

/** Where Chromium is: `CHROMIUM` in the environment, else where Debian puts it. */
export function chromiumPath() {
  const found = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
    (candidate) => candidate && existsSync(candidate),
  )
  if (!found) throw new Error('Chromium is missing: install it (apt-get install chromium) or name it in CHROMIUM')
  return found
}

/**
 * The same Chromium without its user interface (the headless shell), which takes a third less processor time; Chromium itself where there
 * is none, and with TIDELOCK_ALL=1.
 */
export function shellPath() {
  const shell = process.env.CHROMIUM_SHELL ?? '/usr/bin/chromium-headless-shell'
  return process.env.TIDELOCK_ALL || !existsSync(shell) ? chromiumPath() : shell
}

/** How long a browser may take to close, in milliseconds. */
const CLOSING_MS = 15_000

/** A browser with a persistent profile: an incognito one keeps IndexedDB in memory, and would prove nothing. */
export class Browser {
  /** The folder of the profile; it outlives the browser until `dispose`. */
  profile
  #context
  #starting
  #options

  /**
   * The options are Playwright's, for instance `viewport` and `colorScheme`; `args` are added to those that all have. `shell: false`: Chromium
   * with all of its user interface.
   */
  constructor(
    { args = [], shell = true, ...options } = {},
    profile = mkdtempSync(path.join(tmpdir(), 'tidelock-chromium-')),
  ) {
    this.#options = { executablePath: shell ? shellPath() : chromiumPath(), ...options, args: [...FLAGS, ...args] }
    this.profile = profile
  }

  /** Starts it; again, on the same profile, after `close` or `kill`. */
  async start() {
    this.#starting = chromium.launchPersistentContext(this.profile, {
      headless: true,
      handleSIGINT: false, // who started it ends it
      handleSIGTERM: false,
      handleSIGHUP: false,
      ...this.#options,
    })
    this.#context = await this.#starting
    this.#context.setDefaultTimeout(60_000)
  }

  /** Playwright's context: pages, bindings, offline mode. */
  get context() {
    return this.#context
  }

  async page(url) {
    const page = await this.#context.newPage()
    if (url) await page.goto(url)
    return page
  }

  /** The processes of this browser, and of no other: they name its profile. */
  pids() {
    const named = `--user-data-dir=${this.profile}`
    return readdirSync('/proc').filter((pid) => {
      if (!/^\d+$/.test(pid)) return false
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0').includes(named)
      } catch {
        return false
      }
    })
  }

  /** `kill -9`, as a crash or the system's memory killer would do it; resolves when all of it has ended. */
  async kill() {
    const closed = new Promise((resolve) => this.#context.once('close', resolve))
    await this.#end()
    await closed
  }

  async close() {
    await this.#starting?.catch(() => {}) // one can't end what is only just beginning
    // Chromium has been seen not to answer at its end, for minutes: then it is ended as by `kill`.
    let timer
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, CLOSING_MS)
    })
    await Promise.race([this.#context?.close().catch(() => {}), late])
    clearTimeout(timer)
    await this.#end()
  }

  /** Ends it and removes the profile. */
  async dispose() {
    await this.close()
    rmSync(this.profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
  }

  async #end() {
    for (let pids = this.pids(); pids.length > 0; pids = this.pids()) {
      for (const pid of pids) {
        try {
          process.kill(Number(pid), 'SIGKILL')
        } catch {} // it went by itself
      }
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}
