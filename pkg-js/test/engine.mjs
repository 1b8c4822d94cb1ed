// The engine under the TypeScript sources, in Node: one instance of the built wasm, opened in the way of open().
import { readFile } from 'node:fs/promises'
import { Bridge, openHere } from '../src/instance/bridge.ts'
import { DatabaseClient } from '../src/instance/database-client.ts'
import { createDatabaseInstance } from '../src/instance/instance.ts'
import { FolderFiles } from '../src/node/files.ts'
import { checkOptions } from '../src/options/check-options.ts'
import { checkLazyOptions } from '../src/options/lazy-options.ts'

// Relative to the test sources, because run.mjs puts the bundles into a temporary folder.
const dist = new URL('../dist/', TESTS)
const compiled = new Map()

async function compile(part) {
  if (!compiled.has(part))
    compiled.set(part, readFile(new URL(`tidelock_${part}.wasm`, dist)).then(WebAssembly.compile))
  return compiled.get(part)
}

/**
 * Creates an instance with the real `Core`, except for the methods that `replaced(core)` returns. `replaced.open(open, host)`, if given,
 * replaces the opening.
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

/** Makes the instance trap, by calling a Core at an address outside of the memory. */
export function trap({ Core }) {
  const stray = Object.create(Core.prototype)
  stray.__wbg_ptr = 0x7fff0000
  try {
    stray.tryAcquire()
  } catch {}
}

let names = 0

/** Returns the options of `open`, as given and checked. */
export function optionsOf(given, warnings = []) {
  const options = {
    name: `engine-${++names}`,
    storage: given?.path === undefined ? 'memory' : 'file',
    onWarning: (warning) => warnings.push(warning),
    ...given,
  }
  const around = { title: '', url: '', server: true, secrets: false }
  return { options, checked: { ...checkOptions(options, around), ...checkLazyOptions(options, false) } }
}

/** Begins to open a database, in memory unless a `path` is given; `opened` resolves to it. */
export async function opening(given, replaced) {
  const warnings = []
  const { options, checked } = optionsOf(given, warnings)
  const client = new DatabaseClient(options)
  const bridge = new Bridge(checked, options, client)
  const engine = await createEngine((error) => bridge.trapped(error), replaced)
  const folder = checked.path === undefined ? undefined : new FolderFiles(checked.path)
  return {
    opened: openHere(bridge, checked, client, engine, folder).then(() => client.attach()),
    engine,
    warnings,
    trap: () => trap(engine),
  }
}

/** Opens a database: `db`, with the other results of {@link opening}. */
export async function openEngine(given, replaced) {
  const { opened, ...parts } = await opening(given, replaced)
  return { ...parts, db: await opened }
}

/** Returns a promise with its `resolve` and `reject`. */
export function deferred() {
  const parts = {}
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }))
  return parts
}

/** Yields to the event loop once. */
export const settle = () => new Promise((resolve) => setImmediate(resolve))
