import {
  type Database,
  isTidelockError,
  type SyncPhase,
  type SyncStatus,
  type TidelockError,
  type TidelockErrorJson,
} from '../../index.js'
import { lazyStore, type Store } from './external-store.js'

/** The state of the sync. */
export interface SyncOverview {
  /** What it does now. */
  readonly phase: SyncPhase
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

/** The state where there is no database to ask. */
export function failedSync(error: TidelockError): SyncOverview {
  return { ...unknownSync, error: error.toJSON(), loading: false }
}

/** A commit makes the counts out of date; they are read at most this often, since they count the rows of all synced tables. */
const refreshMs = 200

/** Makes the store of a database's sync. */
export function syncOverview(database: Database): Store<SyncOverview> {
  return lazyStore(unknownSync, (set) => {
    let phase: SyncPhase = 'idle'
    let error: TidelockErrorJson | undefined
    let tables: readonly SyncStatus[] = []
    let timer: ReturnType<typeof setTimeout> | undefined
    let reads = 0

    const show = () => set(overviewOf(phase, tables, error))
    const read = async () => {
      clearTimeout(timer)
      timer = undefined
      const own = ++reads
      try {
        const next = await database.sync.status()
        if (own !== reads) return
        tables = next
        show()
      } catch (thrown) {
        if (own === reads && isTidelockError(thrown)) set(overviewOf(phase, tables, thrown.toJSON()))
      }
    }
    const onSync = ({ detail }: CustomEvent<{ readonly phase: SyncPhase; readonly error?: TidelockErrorJson }>) => {
      phase = detail.phase
      if (phase === 'idle') error = detail.error
      void read()
    }
    const onChange = () => {
      timer ??= setTimeout(read, refreshMs)
    }
    const onClose = () => void read()
    database.addEventListener('sync', onSync)
    database.addEventListener('change', onChange)
    database.addEventListener('close', onClose)
    void read()
    return () => {
      clearTimeout(timer)
      reads++
      database.removeEventListener('sync', onSync)
      database.removeEventListener('change', onChange)
      database.removeEventListener('close', onClose)
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
    phase,
    tables,
    pending: sum(({ pending }) => pending),
    rejected: sum(({ rejected }) => rejected),
    lastPulledAt: pulled.includes(null) ? null : (pulled[0] ?? null),
    error: error ?? tables.find(({ lastError }) => lastError !== null)?.lastError ?? undefined,
    loading: false,
  }
}
