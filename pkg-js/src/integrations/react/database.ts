import {
  createContext,
  createElement,
  type ReactElement,
  type ReactNode,
  Suspense,
  useContext,
  useEffect,
  useMemo,
  useSyncExternalStore,
} from 'react'
import type { Database, OpenOptions } from '../../index.js'
import { type DatabaseStore, databaseStore, isKnown, noDatabase, outsideProvider } from '../shared/database-store.js'
import type { ExternalStore } from '../shared/external-store.js'
import { suspendUntil } from './suspend.js'

/** The props of {@link DatabaseProvider}: one of `database` and `options`. */
export type DatabaseProviderProps = {
  readonly children?: ReactNode
  /** What is shown while a component inside waits for the database or for rows (`useSuspense...`). */
  readonly fallback?: ReactNode
} & (
  | {
      /** What `open()` returns, or a promise of it; undefined as long as there is none. The app closes it. */
      readonly database: Database | PromiseLike<Database> | undefined
      readonly options?: undefined
    }
  | {
      /**
       * Options of `open()`: the provider opens the database after it has mounted, and closes it after it has unmounted. A change of `name`
       * opens the other database; a change of another option counts from the next opening on.
       */
      readonly options: OpenOptions
      readonly database?: undefined
    }
)

const Databases = createContext<DatabaseStore | undefined>(undefined)

/**
 * Provides a database to the components inside.
 *
 * On a server nothing is opened: hooks return what they return while the database is being opened, and go on after the hydration. Throws
 * `invalid_argument` for both or neither of `database` and `options`.
 *
 * @example
 * ```tsx
 * <DatabaseProvider options={{ name: 'todo', migrations }}>
 *   <Todos />
 * </DatabaseProvider>
 * ```
 */
export function DatabaseProvider(props: DatabaseProviderProps): ReactElement {
  const { children, fallback = null, database, options } = props
  // biome-ignore lint/correctness/useExhaustiveDependencies: components write their options inline, as a new object in each render
  const databases = useMemo(() => databaseStore(props), [database, options?.name])
  useEffect(() => databases.subscribe(() => {}), [databases])
  // Inside of the provider: where a component suspends in its first render, React throws away what is between it and the boundary.
  return createElement(Databases.Provider, { value: databases }, createElement(Suspense, { fallback }, children))
}

/** @internal Returns the store of the provider's database. */
export function useDatabases(hook: string): DatabaseStore {
  const databases = useContext(Databases)
  if (databases) return databases
  throw outsideProvider(hook, 'Render the component inside of <DatabaseProvider>')
}

/** @internal Returns the value of a store, and `initial` on a server and during the hydration. */
export function useStore<T>(store: ExternalStore<T>, initial: T): T {
  return useSyncExternalStore(store.subscribe, store.get, () => initial)
}

/** @internal Returns the value of a store of something in the provider's database; see {@link useStore}. */
export function useProvided<T>(hook: string, storeOf: (databases: DatabaseStore) => ExternalStore<T>, initial: T): T {
  const databases = useDatabases(hook)
  return useStore(
    useMemo(() => storeOf(databases), [storeOf, databases]),
    initial,
  )
}

/**
 * Returns the database; undefined while it is being opened, and on a server.
 *
 * Throws the error of a failed opening, which an error boundary shows, and `invalid_argument` outside of a {@link DatabaseProvider}.
 *
 * @example
 * ```tsx
 * const db = useDatabase()
 * return <button onClick={() => db?.snapshots.create()}>Save a snapshot</button>
 * ```
 */
export function useDatabase(): Database | undefined {
  return useOpening('useDatabase')[0]
}

/**
 * Returns the database, and suspends while it is being opened. The boundary is a `<Suspense>` inside of the provider, else the `fallback` of
 * the provider. Throws as {@link useDatabase} does, and `unsupported_environment` on a server, whose place React fills in the browser.
 */
export function useSuspenseDatabase(): Database {
  return useOpenDatabase('useSuspenseDatabase')
}

/** @internal Returns the database, or suspends. */
export function useOpenDatabase(hook: string): Database {
  const [database, databases] = useOpening(hook)
  return database ?? suspendUntil(databases, isKnown, hook)
}

/** Returns the database, undefined while it is being opened, and its store. Throws the error of a failed opening. */
function useOpening(hook: string): [database: Database | undefined, databases: DatabaseStore] {
  const databases = useDatabases(hook)
  const { database, error } = useStore(databases, noDatabase)
  if (error) throw error
  return [database, databases]
}
