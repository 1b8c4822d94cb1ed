// The engine under the TypeScript sources, in Node: the built wasm, and one instance of it opened as open() opens it.
import { readFile } from 'node:fs/promises'
import { Bridge, openHere } from '../src/instance/bridge.ts'
import { createDatabaseInstance } from '../src/instance/instance.ts'
import { LocalUser } from '../src/instance/user.ts'
import { FolderFiles } from '../src/node/files.ts'
import { checkOptions } from '../src/options/check-options.ts'
import { checkRareOptions } from '../src/options/rare-options.ts'

// Where run.mjs found the tests: beside the bundles lies nothing.
const dist = new URL('../dist/', TESTS)
const compiled = new Map()

async function compile(part) {
  if (!compiled.has(part))
    compiled.set(part, readFile(new URL(`tidelock_${part}.wasm`, dist)).then(WebAssembly.compile))
  return compiled.get(part)
}

/**
 * An instance with the real `Core`, but for the methods that `replaced(core)` gives; `replaced.open(open, host)` may do something else than
 * to open it.
 */
export async function createEngine(onTrap, replaced = () => ({})) {
  const instance = await createDatabaseInstance(await compile('bg'), compile, onTrap)
  const over = (target, own) =>
    new Proxy(target, {
      get: (_, name) => own[name] ?? (typeof target[name] === 'function' ? target[name].bind(target) : target[name]),
    })
  const opening = async (open, host) => {
    const core = await (replaced.open ?? ((open) => open()))(open, host)
    return over(core, replaced(core))
  }
  const { Core } = instance
  const open = (checked, host) => opening(() => Core.open(checked, host), host)
  const openFolder = (checked, host, folder) => opening(() => Core.openFolder(checked, host, folder), host)
  return { ...instance, Core: over(Core, { open, openFolder }) }
}

/** A trap: the first call of a Core at an address outside of the memory. The guard of the instance tells it. */
export function trap({ Core }) {
  const stray = Object.create(Core.prototype)
  stray.__wbg_ptr = 0x7fff0000
  try {
    stray.enter()
  } catch {}
}

let names = 0

/** The options of `open`, as given and checked. */
export function optionsOf(given, warnings = []) {
  const options = {
    name: `engine-${++names}`,
    storage: given?.path === undefined ? 'memory' : 'file',
    onWarning: (warning) => warnings.push(warning),
    ...given,
  }
  const around = { title: '', url: '', server: true, secrets: false }
  return { options, checked: { ...checkOptions(options, around), ...checkRareOptions(options, false) } }
}

/** Begins to open a database, in memory unless a `path` is given; `opened` gives it. */
export async function opening(given, replaced) {
  const warnings = []
  const { options, checked } = optionsOf(given, warnings)
  const user = new LocalUser(options)
  const bridge = new Bridge(checked, options, user)
  const engine = await createEngine((error) => bridge.trapped(error), replaced)
  const folder = checked.path === undefined ? undefined : new FolderFiles(checked.path)
  return {
    opened: openHere(bridge, checked, user, engine, folder).then(() => user.attach()),
    engine,
    warnings,
    trap: () => trap(engine),
  }
}

/** The same, opened: `db` with what belongs to it. */
export async function openEngine(given, replaced) {
  const { opened, ...parts } = await opening(given, replaced)
  return { ...parts, db: await opened }
}

/** A promise with its ends in the hand. */
export function deferred() {
  const parts = {}
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }))
  return parts
}

/** Lets everything that is ready run. */
export const settle = () => new Promise((resolve) => setImmediate(resolve))
