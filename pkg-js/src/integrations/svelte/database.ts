import { getContext, onMount, setContext } from 'svelte'
import type { Database } from '../../index.js'
import { type DatabaseSource, type DatabaseStore, databaseStore, outsideProvider } from '../shared/database-store.js'
import { type Readable, readable } from './readable.js'

const context = Symbol('tidelock')

/**
 * Provides a database to this component and those below it. Call it while the component is being initialized; returns the store of
 * {@link getDatabase}.
 *
 * With `{ options }` it opens the database with `open(options)` when the component is mounted, and closes it when the component is destroyed.
 * With `{ database }` it provides what `open()` returns, or a promise of it; the app closes it. On a server nothing is opened. Throws
 * `invalid_argument` for both or neither.
 *
 * @example
 * ```ts
 * setDatabase({ options: { name: 'todo', migrations } })
 * ```
 */
export function setDatabase(source: DatabaseSource): Readable<Database | undefined> {
  const databases = databaseStore(source)
  setContext(context, databases)
  onMount(() => databases.subscribe(() => {}))
  return databaseOf(databases)
}

/**
 * Returns the store of the database: undefined while it is being opened, after a failed opening, and on a server. Throws `invalid_argument`
 * outside of a component with a provider.
 *
 * @example
 * ```ts
 * const db = getDatabase()
 * const save = () => $db?.snapshots.create()
 * ```
 */
export function getDatabase(): Readable<Database | undefined> {
  return databaseOf(contextDatabases('getDatabase'))
}

/** @internal Returns the store of the provided database. */
export function contextDatabases(call: string): DatabaseStore {
  let databases: DatabaseStore | undefined
  try {
    databases = getContext(context)
  } catch {
    // Svelte has no context outside of a component.
  }
  if (databases !== undefined) return databases
  throw outsideProvider(
    call,
    'Call setDatabase() in this component or one above it, and this while a component is initialized',
  )
}

function databaseOf({ get, subscribe }: DatabaseStore): Readable<Database | undefined> {
  return readable({ get: () => get().database, subscribe })
}
