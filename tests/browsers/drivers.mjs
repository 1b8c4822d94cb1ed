// Firefox and WebKit (Safari's engine), driven by their own WebDriver servers.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Builder } from 'selenium-webdriver'

const firefox = process.env.FIREFOX ?? '/usr/bin/firefox-esr'
const miniBrowser = process.env.MINI_BROWSER ?? '/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser'

/** What is known of a browser: its driver's command for a port, and the capabilities of a session with a profile in that folder. */
const known = {
  firefox: {
    command: (port) => [process.env.GECKODRIVER ?? 'geckodriver', '--port', `${port}`, '--host', '127.0.0.1'],
    capabilities: (profile) => ({
      browserName: 'firefox',
      'moz:firefoxOptions': { binary: firefox, args: ['-headless', '-profile', profile] },
    }),
  },
  // It keeps its profile to itself: what is stored ends with the session.
  webkit: {
    command: (port) => ['xvfb-run', '-a', 'WebKitWebDriver', `--port=${port}`, '--host=127.0.0.1'],
    capabilities: () => ({
      browserName: 'MiniBrowser',
      'webkitgtk:browserOptions': { binary: miniBrowser, args: ['--automation'] },
    }),
  },
}

/** A running browser of that name. */
export class OtherBrowser {
  #driver
  #server
  #profile = mkdtempSync(path.join(tmpdir(), 'tidelock-browser-'))
  #name
  #port

  constructor(name) {
    this.#name = name
  }

  /** Starts it, with what its profile has stored before. */
  async start() {
    if (this.#server === undefined) await this.#serve()
    const builder = new Builder().usingServer(`http://127.0.0.1:${this.#port}`)
    this.#driver = await builder.withCapabilities(known[this.#name].capabilities(this.#profile)).build()
    await this.#driver.manage().setTimeouts({ script: 60_000, pageLoad: 60_000 })
  }

  async #serve() {
    this.#port = await freePort()
    const [program, ...args] = known[this.#name].command(this.#port)
    // A group of its own, since xvfb-run leaves its children behind. As root WebKit wants to be told that it has no sandbox.
    const env = { ...process.env, WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: '1' }
    this.#server = spawn(program, args, { stdio: 'ignore', detached: true, env })
    const failed = once(this.#server, 'error').then(([error]) => {
      throw new Error(`${program} can't be started: ${error.message}`)
    })
    await Promise.race([failed, listening(this.#port)])
    failed.catch(() => {})
  }

  /** The tab in front. */
  get tab() {
    return this.#driver.getWindowHandle()
  }

  /** Brings a tab to the front; opens a new one if none is named. */
  async show(tab) {
    if (tab === undefined) await this.#driver.switchTo().newWindow('tab')
    else await this.#driver.switchTo().window(tab)
    return this.tab
  }

  /** Loads an address, and waits until the page says that it is ready. */
  async load(url) {
    await this.#driver.get(url)
    await this.#driver.wait(() => this.#driver.executeScript('return window.ready === true'), 15_000)
  }

  /** Closes the tab in front. */
  async closeTab() {
    await this.#driver.close()
  }

  /** Runs a function in the page, with arguments that JSON can tell; gives its result, or fails as it did. */
  async run(work, ...args) {
    // The driver's own scripts have other built-in objects than the page's in Firefox: the page makes the function of its text.
    const script = 'window.drive(arguments[0], arguments[1]).then(arguments[2])'
    const answer = JSON.parse(await this.#driver.executeAsyncScript(script, work.toString(), JSON.stringify(args)))
    if (answer.error !== undefined) throw new Error(answer.error)
    return answer.value
  }

  /** The process of the browser itself, where the driver tells it. */
  async pid() {
    return (await this.#driver.getCapabilities()).get('moz:processID')
  }

  /** Forgets a session whose browser is dead. */
  async forget() {
    await this.#driver.quit().catch(() => {})
    this.#driver = undefined
  }

  /** Ends everything. */
  async dispose() {
    await this.#driver?.quit().catch(() => {})
    if (this.#server?.exitCode === null) {
      const ended = once(this.#server, 'exit')
      process.kill(-this.#server.pid)
      await ended
    }
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5 })
  }
}

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

async function listening(port) {
  for (const deadline = Date.now() + 20_000; ; ) {
    const socket = net.connect(port, '127.0.0.1')
    const open = await new Promise((resolve) => {
      socket.on('connect', () => resolve(true))
      socket.on('error', () => resolve(false))
    })
    socket.destroy()
    if (open) return
    if (Date.now() > deadline) throw new Error(`nothing listens on port ${port}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
