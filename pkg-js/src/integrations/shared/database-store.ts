import type { Database, OpenOptions, TidelockError } from '../../index.js'
import { invalid } from './errors.js'
import { constantStore, type ExternalStore, lazyStore, whenTrue } from './external-store.js'
import { isTidelockError, open } from './package.js'

/** The database of a provider, as far as it is known. */
export interface DatabaseState {
  /** The open database; undefined while it is being opened, and after a failed opening. */
  readonly database: Database | undefined
  /** Why the opening failed. */
  readonly error: TidelockError | undefined
}

/** What a provider gets: a database, a promise of one, or undefined as long as there is none; or the options of `open`. */
export type DatabaseSource =
  | { readonly database: Database | PromiseLike<Database> | undefined; readonly options?: undefined }
  | { readonly options: OpenOptions; readonly database?: undefined }

/** The store of a provider's database. */
export interface DatabaseStore extends ExternalStore<DatabaseState> {
  /** The options with which the provider opens it. */
  readonly options?: OpenOptions | undefined
}

/** The state as long as there is no database. */
export const noDatabase: DatabaseState = { database: undefined, error: undefined }
const emptyStore = constantStore(noDatabase)

/**
 * Makes the store of a database. With `options`, its first subscriber opens the database and its last one closes it. Throws
 * `invalid_argument` for a source that is neither.
 */
export function databaseStore(source: DatabaseSource): DatabaseStore {
  const { database, options } = source
  if (options === undefined ? !('database' in source) : database !== undefined)
    throw wrongSource('A provider of a database needs one of database and options')
  if (options !== undefined) {
    const store = lazyStore(noDatabase, (set) => {
      const opening = open(options)
      report(opening, set)
      // A failed opening leaves nothing to close.
      return () => void opening.then((opened) => opened.close()).catch(() => {})
    })
    return { ...store, options }
  }
  if (database === undefined) return emptyStore
  if (isDatabase(database)) return constantStore({ ...noDatabase, database })
  if (typeof database?.then !== 'function') throw notDatabase()
  return lazyStore(noDatabase, (set) => {
    report(database, set)
    return () => {}
  })
}

/** Whether there is a database, or an error of its opening. */
export function isKnown(state: DatabaseState): boolean {
  return state !== noDatabase
}

/**
 * Runs `work` with the database as soon as it is open, and keeps it open until then. Rejects with what `work` throws, with the error of the
 * opening, and with `invalid_argument` when the provider has no database yet.
 */
export async function withDatabase<T>(
  store: ExternalStore<DatabaseState>,
  work: (database: Database) => T | PromiseLike<T>,
): Promise<T> {
  if (store === emptyStore) throw wrongSource('The provider of a database has no database yet')
  const release = store.subscribe(() => {})
  try {
    const { database, error } = await whenTrue(store, isKnown)
    if (database === undefined) throw error
    return await work(database)
  } finally {
    release()
  }
}

/** Returns the error for a hook that is used where no provider is. */
export function outsideProvider(call: string, hint: string): TidelockError {
  return invalid(`${call} is used outside of a provider of a database`, hint)
}

function report(opening: PromiseLike<Database>, set: (state: DatabaseState) => void): void {
  const fail = (error: TidelockError) => set({ ...noDatabase, error })
  opening.then(
    (database) => (isDatabase(database) ? set({ ...noDatabase, database }) : fail(notDatabase())),
    (thrown: unknown) =>
      fail(
        isTidelockError(thrown)
          ? thrown
          : invalid('The promise of a database was rejected', "Look at the error's cause", thrown),
      ),
  )
}

function notDatabase(): TidelockError {
  return wrongSource('The database of a provider is something else')
}

function wrongSource(message: string): TidelockError {
  return invalid(message, 'Pass database, what open() returns or a promise of it, or options of open()')
}

function isDatabase(value: Database | PromiseLike<Database> | undefined | null): value is Database {
  return typeof (value as Database | undefined | null)?.live === 'function'
}
