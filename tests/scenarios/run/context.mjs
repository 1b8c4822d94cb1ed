// The argument of a scenario, in Node and in pages. Both load this file, so it imports nothing.

let names = 0

/** Returns the error of a promise or a function as plain data: `{ resolved }` when it didn't fail, `{ notOurs, name }` for other errors. */
export function failureOf(tidelock, record = () => {}) {
  return async (work) => {
    try {
      return { resolved: await (typeof work === 'function' ? work() : work) }
    } catch (error) {
      if (!(tidelock.isTidelockError(error) && error instanceof tidelock.TidelockError))
        return { notOurs: String(error), name: error?.name }
      record(error)
      const { code, message, hint, details, retryable, cause } = error
      return { code, message, hint, details, retryable, cause: cause && String(cause), json: JSON.stringify(error) }
    }
  }
}

/** Waits until a check returns a truthy value → that value. */
export async function until(check, timeoutMs = 10_000) {
  for (const deadline = Date.now() + timeoutMs; ; ) {
    const value = await check()
    if (value) return value
    if (Date.now() > deadline) throw new Error(`Waited ${timeoutMs} ms in vain for ${check}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/**
 * Runs one scenario, and closes what it left open. The environment has:
 * - `tidelock`, the package's exports; `host`: `'node'` or `'page'`; `thread`: `'current'` or `'worker'`;
 * - `storage`: that of the databases, if it isn't the default;
 * - `prefix` of the names of databases; `defaults(name)`: options of `open` for a database that is stored;
 * - `remote`: a facade of a real PostgreSQL and PostgREST (remote.mjs), for the modules under sync/;
 * - `record(error)`: called with each TidelockError that the scenario asserts on;
 * - `engine`: `inEngine` and `rigEngine`, in pages.
 */
export async function runScenario(work, environment) {
  const { tidelock, host, thread, storage, prefix, defaults, remote, record, engine = {} } = environment
  const opened = []
  const t = {
    tidelock,
    host,
    thread,
    storage,
    remote,
    ...engine,
    /** The warnings, in order, as `{ code, message }`. */
    warnings: [],
    /** Returns a unique name for a database, a table or a row. */
    freshName: () => `${prefix}-${++names}`,
    until,
    failure: failureOf(tidelock, record),
    /** Returns options of `open` with a fresh name, for a stored database; warnings are collected. */
    options(given = {}) {
      const name = given.name ?? t.freshName()
      return { ...defaults(name), onWarning: (warning) => t.warnings.push(warning), ...given, name }
    },
    /** Opens a database, which is closed at the end of the scenario at the latest. */
    async open(given) {
      const db = await tidelock.open(t.options(given))
      opened.push(db)
      return db
    },
    /** Opens a database in memory. */
    memory: (given) => t.open({ storage: 'memory', path: undefined, ...given }),
  }
  try {
    await work(t)
  } finally {
    // Closing a database that trapped or lost its lock may fail.
    for (const db of opened) await db.close().catch(() => {})
  }
}

/**
 * Returns the scenarios of a module that run here: `[title, work]` each. A scenario for some environments names those `only`, or the storages
 * that it is `not` for, and the reason.
 */
export function scenariosOf(module, { host, thread, storage }) {
  const here = host === 'node' ? 'node' : thread === 'worker' ? 'worker' : 'page'
  return Object.entries(module.default).flatMap(([title, given]) => {
    if (typeof given === 'function') return [[title, given]]
    const { only, not = [], because, run } = given
    if ((!Array.isArray(only) && not.length === 0) || !because)
      throw new Error(`'${title}' says neither where it runs only, nor why`)
    return (only ?? [here]).includes(here) && !not.includes(storage) ? [[title, run]] : []
  })
}
