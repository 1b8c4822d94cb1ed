import { type App, hasInjectionContext, type InjectionKey, inject, provide, type ShallowRef } from 'vue'
import type { Database } from '../../index.js'
import {
  type DatabaseSource,
  type DatabaseStore,
  databaseStore,
  noDatabase,
  outsideProvider,
} from '../shared/database-store.js'
import { useStore, whenMounted } from './use-store.js'

const Databases: InjectionKey<DatabaseStore> = Symbol('tidelock')

/**
 * Makes the plugin that provides a database to an app.
 *
 * With `{ options }` it opens the database with `open(options)` when the app is mounted, and closes it when the app is unmounted. With
 * `{ database }` it provides what `open()` returns, or a promise of it; the app closes it. On a server nothing is opened. Throws
 * `invalid_argument` for both or neither.
 *
 * @example
 * ```ts
 * createApp(Root).use(createTidelock({ options: { name: 'todo', migrations } })).mount('#app')
 * ```
 */
export function createTidelock(source: DatabaseSource): { install(app: App): void } {
  const databases = databaseStore(source)
  return {
    install(app) {
      app.provide(Databases, databases)
      let release = () => {}
      const { mount, unmount } = app
      app.mount = (...given) => {
        release = databases.subscribe(() => {})
        return mount(...given)
      }
      app.unmount = () => {
        unmount()
        release()
      }
    },
  }
}

/**
 * Provides a database to the components below this one, as {@link createTidelock} does for an app. Call it in `setup`. With `{ options }` it
 * opens the database when the component is mounted, and closes it when the component is unmounted.
 *
 * @example
 * ```ts
 * provideDatabase({ options: { name: `todo-${user.id}`, migrations } })
 * ```
 */
export function provideDatabase(source: DatabaseSource): void {
  const databases = databaseStore(source)
  provide(Databases, databases)
  whenMounted((onStop) => onStop(databases.subscribe(() => {})))
}

/** @internal Returns the store of the provided database. */
export function useDatabases(composable: string): DatabaseStore {
  const databases = hasInjectionContext() ? inject(Databases, undefined) : undefined
  if (databases !== undefined) return databases
  throw outsideProvider(
    composable,
    'Call app.use(createTidelock({ options })), or provideDatabase() in a component above, and call this in setup',
  )
}

/**
 * Returns a ref of the database: undefined while it is being opened, after a failed opening, and on a server. Throws `invalid_argument` outside
 * of a provider.
 *
 * @example
 * ```ts
 * const db = useDatabase()
 * const save = () => db.value?.snapshots.create()
 * ```
 */
export function useDatabase(): Readonly<ShallowRef<Database | undefined>> {
  const databases = useDatabases('useDatabase')
  return useStore(() => ({ get: () => databases.get().database, subscribe: databases.subscribe }), noDatabase.database)
}
