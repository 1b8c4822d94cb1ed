import type { Database, SyncPhase, SyncStatus, TidelockErrorJson } from '../../index.js'
import type { DatabaseState } from './database-store.js'
import { constantStore, type ExternalStore, lazyStore } from './external-store.js'
import { fromDatabase } from './from-database.js'
import { listen } from './listen.js'
import { isTidelockError } from './package.js'

/** The state of the sync. */
export interface SyncOverview {
  /** What it does now; `offline`: nothing, since the browser has no network. */
  readonly phase: SyncPhase | 'offline'
  /** One entry for each synced table, see `Sync.status`. */
  readonly tables: readonly SyncStatus[]
  /** Changes that wait to be pushed. */
  readonly pending: number
  /** Changes that were refused permanently. */
  readonly rejected: number
  /** When the oldest table was pulled completely, ISO 8601; null: one never was, or none is synced. */
  readonly lastPulledAt: string | null
  /** Why the last round failed, until one succeeds; or why there is no database. */
  readonly error: TidelockErrorJson | undefined
  /** Whether the state isn't known yet. */
  readonly loading: boolean
}

/** The state before it is known. */
export const unknownSync: SyncOverview = {
  phase: 'idle',
  tables: [],
  pending: 0,
  rejected: 0,
  lastPulledAt: null,
  error: undefined,
  loading: true,
}

/** A commit makes the counts out of date; they are read at most this often, since they count the rows of all synced tables. */
const refreshMs = 200

/** Makes the store of the sync of a provider's database, which may arrive later. */
export function providedSync(databases: ExternalStore<DatabaseState>): ExternalStore<SyncOverview> {
  return fromDatabase(databases, ({ database, error }) =>
    database ? syncOverview(database) : constantStore({ ...unknownSync, error: error?.toJSON(), loading: !error }),
  )
}

/** Makes the store of a database's sync. */
function syncOverview(database: Database): ExternalStore<SyncOverview> {
  return lazyStore(unknownSync, (set) => {
    let phase: SyncPhase = 'idle'
    let error: TidelockErrorJson | undefined
    let tables: readonly SyncStatus[] = []
    let timer: ReturnType<typeof setTimeout> | undefined
    let reads = 0
    let shown: string | undefined

    const show = (failure = error) => {
      const next = overviewOf(phase, tables, failure)
      const text = JSON.stringify(next)
      if (text !== shown) set(next)
      shown = text
    }
    const read = async (): Promise<void> => {
      clearTimeout(timer)
      timer = undefined
      const own = ++reads
      try {
        const next = await database.sync.status()
        if (own !== reads) return
        tables = next
        show()
      } catch (thrown) {
        if (own === reads && isTidelockError(thrown)) show(thrown.toJSON())
      }
    }
    // Before the first reading there is nothing to show.
    const network = () => void (shown && show())
    const unlisten = [
      listen(database, {
        sync({ detail }) {
          phase = detail.phase
          if (phase === 'idle') error = detail.error
          void read()
        },
        change() {
          timer ??= setTimeout(read, refreshMs)
        },
        close: read,
      }),
      listen(globalThis, { online: network, offline: network }),
    ]
    void read()
    return () => {
      clearTimeout(timer)
      reads++
      for (const end of unlisten) end()
    }
  })
}

function overviewOf(
  phase: SyncPhase,
  tables: readonly SyncStatus[],
  error: TidelockErrorJson | undefined,
): SyncOverview {
  const sum = (of: (table: SyncStatus) => number) => tables.reduce((total, table) => total + of(table), 0)
  const pulled = tables.map(({ lastPulledAt }) => lastPulledAt).sort()
  return {
    // Without a table there is nothing that the network could bring.
    phase: tables.length > 0 && globalThis.navigator?.onLine === false ? 'offline' : phase,
    tables,
    pending: sum(({ pending }) => pending),
    rejected: sum(({ rejected }) => rejected),
    lastPulledAt: pulled.includes(null) ? null : (pulled[0] ?? null),
    error: error ?? tables.find(({ lastError }) => lastError)?.lastError ?? undefined,
    loading: false,
  }
}
