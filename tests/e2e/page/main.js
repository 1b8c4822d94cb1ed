// The page under test: the package, and what specs reach by `window`. `ready` once all of it is there.
import * as tidelock from 'tidelock'
import { failureOf, runScenario, scenariosOf, until } from '/scenarios/run/context.mjs'
import { remoteFacade } from '/scenarios/run/remote.mjs'
import '/scenarios/run/quick-secrets.mjs'

/** Where databases of this page run their engine, unless a test says otherwise. */
const thread = new URLSearchParams(location.search).get('thread') ?? 'current'
const storage = new URLSearchParams(location.search).get('storage')

// Workers run `rigged-worker.js`, which takes functions to run beside the engine.
const before = []
let changes = 0
window.workers = []
const Plain = window.Worker
window.Worker = class extends Plain {
  constructor(url, options) {
    super(String(url).endsWith('/dist/worker.js') ? '/page/rigged-worker.js' : url, options)
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

function ask(worker, message) {
  const { port1, port2 } = new MessageChannel()
  worker.rig.postMessage({ ...message, reply: port2 }, [port2])
  return new Promise((resolve, reject) => {
    port1.onmessage = ({ data }) => (data.error === undefined ? resolve(data.value) : reject(new Error(data.error)))
  })
}

/** Runs a function where the engine runs: here, or in the newest worker → a promise of its result. */
async function inEngine(work, ...args) {
  return thread === 'current' ? work(...args) : ask(window.workers.at(-1), { work: { source: work.toString(), args } })
}

/** Changes something where engines run, from now on, by a function or its source → a function that calls what that one returned. */
async function rigEngine(work, ...args) {
  if (thread === 'current') return new Function(`return (${work})`)()(...args) ?? (() => {})
  const id = ++changes
  const change = { id, source: work.toString(), args }
  before.push(change)
  await Promise.all(window.workers.map((worker) => ask(worker, { work: change })))
  return () => {
    before.splice(before.indexOf(change), 1)
    return Promise.all(window.workers.map((worker) => ask(worker, { undo: id })))
  }
}

/** `[name, old version, loss, message]` of each database that the browser made again: it may say why it lost what was there. */
const madeAnew = []
const openDatabase = IDBFactory.prototype.open
IDBFactory.prototype.open = function (...given) {
  const request = openDatabase.apply(this, given)
  request.addEventListener('upgradeneeded', ({ oldVersion, dataLoss, dataLossMessage }) =>
    madeAnew.push([given[0], oldVersion, dataLoss, dataLossMessage]),
  )
  return request
}

const warnings = []

Object.assign(window, {
  tidelock,
  thread,
  warnings,
  madeAnew,
  inEngine,
  rigEngine,
  until,
  failure: failureOf(tidelock),
  /** Opens with warnings gathered, and the page's thread. */
  open: (options) => tidelock.open({ thread, onWarning: (warning) => warnings.push(warning), ...options }),
  /** Another page of this origin, in a frame: its window. */
  async otherPage() {
    const frame = document.createElement('iframe')
    frame.src = location.href
    document.body.append(frame)
    return until(() => frame.contentWindow.ready && frame.contentWindow)
  },
  /** Runs one scenario of a module → undefined, or how it failed. `facts`: of the remote, if it has one. */
  async runScenario(module, title, prefix, facts) {
    const scenarios = scenariosOf(await import(`/scenarios/${module}.mjs`), {
      host: 'page',
      thread,
      storage: storage ?? undefined,
    })
    const [, work] = scenarios.find(([each]) => each === title)
    const remote = facts && remoteFacade(facts, callRemote)
    try {
      await runScenario(work, {
        tidelock,
        remote,
        prefix,
        thread,
        storage: storage ?? undefined,
        host: 'page',
        defaults: () => ({ thread, ...(storage === null ? {} : { storage }) }),
        engine: { inEngine, rigEngine },
      })
    } catch (error) {
      // A trap is known by its cause.
      const causes = []
      for (let each = error; each && causes.length < 5; each = each.cause)
        causes.push(`${each}\n${each.stack}\n${JSON.stringify(each.details ?? {})}`)
      return causes.join('\ncaused by ')
    }
  },
  ready: true,
})

async function callRemote(name, ...args) {
  const response = await fetch('/remote', { method: 'POST', body: JSON.stringify([name, ...args]) })
  if (!response.ok) throw new Error(await response.text())
  return response.json()
}
