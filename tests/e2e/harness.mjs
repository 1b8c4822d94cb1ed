// What every spec needs: the package as npm would install it, on a blank page, in a browser with a profile of its own.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test as nodeTest } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Browser } from './browser.mjs'
import { serve } from './serve.mjs'

const PACKAGE = fileURLToPath(new URL('../../pkg-js', import.meta.url))

/** Packs the built package and unpacks it in `folder`, as `npm install` would → the module's path in it. */
export function unpack(folder) {
  const output = execFileSync('npm', ['pack', PACKAGE, '--pack-destination', folder, '--json', '--ignore-scripts'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  execFileSync('tar', ['-xzf', path.join(folder, JSON.parse(output)[0].filename), '-C', folder])
  const { exports } = JSON.parse(readFileSync(path.join(folder, 'package/package.json'), 'utf8'))
  const entry = exports['.']
  const module = entry.browser ?? entry.import ?? entry.default
  if (!existsSync(path.join(folder, 'package', module))) throw new Error('pkg-js is not built: run ./build.sh build')
  return module
}

/** Where the engine runs in the present test. */
let thread = 'current'

/**
 * A test of what a database does, wherever its engine runs: there are two of it, one for each thread. `only` names the one thread of a test
 * that is about this thread, `because` says why. The work gets the thread after the context of the test runner.
 */
export function test(name, ...given) {
  const work = given.pop()
  const [{ only, because, ...options } = {}] = given
  if (only !== undefined && !because) throw new Error(`'${name}' runs in one thread only: say because of what`)
  for (const where of only === undefined ? ['current', 'worker'] : [only]) {
    nodeTest(where === 'worker' ? `${name} (worker)` : name, options, (t) => {
      thread = where
      return work(t, where)
    })
  }
}

/** The first thing in a worker under test: what its page wants to run in there. The messages of the package are left alone. */
const rig = `
  const undo = new Map()
  const run = async ({ id, source, args }) => {
    const result = await new Function('return (' + source + ')')()(...args)
    if (typeof result !== 'function') return result
    undo.set(id, result)
  }
  addEventListener('message', (event) => {
    if (event.data?.rig === undefined) return
    event.stopImmediatePropagation()
    event.data.before.forEach(run)
    event.data.rig.onmessage = async ({ data: { work, mend, reply } }) => {
      try {
        reply.postMessage({ value: await (work ? run(work) : undo.get(mend)?.()) })
      } catch (error) {
        reply.postMessage({ error: String(error?.stack ?? error) })
      }
    }
  })
`

/** A blank page, plain modules and no bundler; `ready` when the package's exports are in `tidelock`. */
function blankPage(module) {
  return `<!doctype html>
<html lang="en">
  <meta charset="utf-8">
  <title>A page under test</title>
  <script type="module">
    import * as tidelock from '/tidelock/${path.posix.normalize(module)}'
    const { thread } = window
    // The workers of this page that live, the oldest first; with each the port to its rig.
    window.workers = []
    const Plain = window.Worker
    window.Worker = class extends Plain {
      constructor(url, options) {
        super(String(url).endsWith('/dist/worker.js') ? '/rigged-worker.js' : url, options)
        const { port1, port2 } = new MessageChannel()
        this.rig = port1
        this.postMessage({ rig: port2, before }, [port2])
        window.workers.push(this)
      }
      terminate() {
        super.terminate()
        window.workers = window.workers.filter((one) => one !== this)
      }
    }
    const ask = (worker, message) => {
      const { port1, port2 } = new MessageChannel()
      worker.rig.postMessage({ ...message, reply: port2 }, [port2])
      return new Promise((resolve, reject) => {
        port1.onmessage = ({ data }) => (data.error === undefined ? resolve(data.value) : reject(new Error(data.error)))
      })
    }
    // Runs a function where the engine runs: here, or in the newest worker. A promise of its result.
    window.inEngine = async (work, ...args) =>
      thread === 'current'
        ? work(...args)
        : ask(window.workers.at(-1), { work: { source: work.toString(), args } })
    // Changes something where engines run, now and from now on, by a function or its source. Gives the function that calls what that returned.
    const before = []
    let changes = 0
    window.rigEngine = async (work, ...args) => {
      if (thread === 'current') return new Function(\`return (\${work})\`)()(...args) ?? (() => {})
      const id = ++changes
      const change = { id, source: work.toString(), args }
      before.push(change)
      await Promise.all(window.workers.map((worker) => ask(worker, { work: change })))
      return () => {
        before.splice(before.indexOf(change), 1)
        return Promise.all(window.workers.map((worker) => ask(worker, { mend: id })))
      }
    }
    window.tidelock = tidelock
    window.warnings = []
    // Databases that the browser made anew: [name, why it says that it lost what was there].
    window.madeAnew = []
    const openDatabase = IDBFactory.prototype.open
    IDBFactory.prototype.open = function (...given) {
      const request = openDatabase.apply(this, given)
      request.addEventListener('upgradeneeded', ({ oldVersion, dataLoss, dataLossMessage }) =>
        window.madeAnew.push([given[0], oldVersion, dataLoss, dataLossMessage]),
      )
      return request
    }
    // The options that every test wants: warnings gathered.
    window.open = (options) => tidelock.open({ thread, onWarning: (warning) => window.warnings.push(warning), ...options })
    // How a promise, or a function, failed; or { resolved } if it didn't.
    window.failure = async (work) => {
      try {
        return { resolved: await (typeof work === 'function' ? work() : work) }
      } catch (error) {
        if (!(tidelock.isTidelockError(error) && error instanceof tidelock.TidelockError)) return { notOurs: String(error), name: error?.name }
        const { code, message, hint, details, retryable, cause } = error
        return { code, message, hint, details, retryable, cause: cause && String(cause), json: JSON.stringify(error) }
      }
    }
    // Waits until a check gives something; a promise of it.
    window.until = async (check, timeoutMs = 10_000) => {
      for (const deadline = Date.now() + timeoutMs; ; ) {
        const value = await check()
        if (value) return value
        if (Date.now() > deadline) throw new Error('waited in vain for ' + check)
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
    }
    window.ready = true
  </script>
</html>`
}

let names = 0

/** A database name that no other test has. */
export function freshName() {
  return `e2e-${process.pid}-${++names}`
}

/**
 * Sets up a spec file: a server, a browser, and a remote if asked for (`{ remote: options of startRemote }`).
 * Gives `page()` (a new tab with the package), `browser`, `remote` and `url`, from the first test on.
 */
export function suite({ remote: remoteOptions } = {}) {
  const context = {
    /** @type {Browser} */
    browser: new Browser(),
    /** @type {string} */
    url: '',
    remote: undefined,
    /** A new tab in which the package is loaded. Errors that nobody caught fail the next `page()` and the end. */
    async page() {
      const page = await context.browser.page()
      page.on('pageerror', (error) => stray.push(error.stack ?? String(error)))
      await context.load(page)
      return page
    },
    /** Loads (or reloads) the blank page in a tab. */
    async load(page) {
      await page.addInitScript((where) => {
        window.thread = where
      }, thread)
      await page.goto(`${context.url}/`)
      await page.waitForFunction(() => window.ready === true, undefined, { timeout: 15_000 })
    },
  }
  const stray = []
  const cleanups = []

  before(async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'tidelock-e2e-'))
    cleanups.push(() => rmSync(folder, { recursive: true, force: true }))
    const module = unpack(folder)
    const server = await serve({
      folders: { '/tidelock/': path.join(folder, 'package') },
      files: {
        '/index.html': blankPage(module),
        '/rig.js': rig,
        '/rigged-worker.js': "import '/rig.js'\nimport '/tidelock/dist/worker.js'\n",
      },
    })
    cleanups.push(() => server.close())
    context.url = server.url
    cleanups.push(() => context.browser.dispose())
    await context.browser.start()
    if (remoteOptions) {
      const { startRemote } = await import('../remote/index.mjs')
      context.remote = await startRemote(remoteOptions)
      cleanups.push(() => context.remote.stop())
    }
  })
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup()
    if (stray.length > 0) throw new Error(`errors that nobody caught:\n${stray.join('\n')}`)
  })
  return context
}
