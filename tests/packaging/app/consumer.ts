// Type-checked against the packed package with the strictest settings, as a user's program would be.
import {
  type AlertCode,
  type ChangeReason,
  type Database,
  type DatabaseEventMap,
  isTidelockError,
  open,
  type SnapshotEvent,
  type TidelockErrorJson,
} from 'tidelock'

interface Visit {
  id: number
  page: string
}

export async function pages(): Promise<string[]> {
  const db: Database = await open({ name: 'packaging', durability: 'strict', lock: { onBusy: 'wait', timeoutMs: 500 } })
  try {
    const visits = await db.query<Visit>('SELECT id, page FROM visits WHERE id > ?', [0])
    await db.transaction(async (tx) => {
      await tx.run('DELETE FROM visits WHERE id = :id', { id: 1n })
    })
    return visits.map((visit) => visit.page)
  } catch (error) {
    if (isTidelockError(error, 'sqlite_error')) return [error.code]
    throw error
  } finally {
    await db.close()
  }
}

export const inWorker = (): Promise<Database> =>
  open({
    name: 'packaging',
    thread: 'worker',
    worker: () => new Worker(new URL('tidelock/worker.js', import.meta.url), { type: 'module' }),
  })

// @ts-expect-error: a database needs a name
open({})
// @ts-expect-error: no such durability
open({ name: 'packaging', durability: 'sometimes' })

/** A value that can't be there: a case that is missing above doesn't compile. */
const never = (value: never): never => {
  throw new Error(`Unexpected ${JSON.stringify(value)}`)
}

/** Wherever the last failure is shown, it has one shape. */
export async function lastErrors(db: Database): Promise<(TidelockErrorJson | null)[]> {
  const { snapshot, storage, sync } = await db.health()
  const fromHealth: TidelockErrorJson | null = sync.lastError
  const ofTables = (await db.sync.status()).map(({ lastError }) => lastError)
  const { lastError, targets = [] } = await db.snapshots.status()
  return [
    fromHealth,
    snapshot.lastError,
    storage.lastError,
    lastError,
    ...ofTables,
    ...targets.map((one) => one.lastError),
  ]
}

export function listen(db: Database): void {
  db.addEventListener('snapshot', ({ detail }) => console.log(snapshot(detail)))
  db.addEventListener('sync', ({ detail }) => console.log(detail.phase === 'pulling', detail.error?.code))
  db.addEventListener('change', ({ detail }) => console.log(detail.all ? 'any table' : detail.tables.join()))
  db.addEventListener('lock', ({ detail }) => console.log(detail.state === 'lost' ? 'lost' : 'released'))
  db.addEventListener('warning', ({ detail }) => console.log(detail.code === 'transaction_idle', detail.message))
  db.addEventListener('close', ({ detail }) => console.log(detail.reason === 'released', detail.message?.length))
  db.addEventListener('migration', ({ detail }) => console.log(detail.direction === 'up', detail.done / detail.total))
  db.addEventListener('health', ({ detail }) => {
    if ('error' in detail) console.log(detail.error?.hint ?? 'Commits are stored')
    else
      console.log(
        detail.status,
        detail.alerts.map(({ code }) => code),
      )
  })
  // @ts-expect-error: a change event has no rows
  db.addEventListener('change', ({ detail }) => console.log(detail.rows))
  // @ts-expect-error: a lock is lost or released
  db.addEventListener('lock', ({ detail }) => console.log(detail.state === 'stolen'))
}

function snapshot(detail: SnapshotEvent): string {
  switch (detail.state) {
    case 'created':
      return detail.snapshot.id
    case 'failed':
      return `${detail.reason} ${detail.error.code}`
    case 'copied':
      return `${detail.target} ${detail.snapshot.name}`
    case 'not_copied':
      return `${detail.target} ${detail.error.message}`
    default:
      return never(detail)
  }
}

export function named(type: keyof DatabaseEventMap): string {
  switch (type) {
    case 'lock':
    case 'role':
    case 'snapshot':
    case 'sync':
    case 'request':
    case 'change':
    case 'health':
    case 'migration':
    case 'warning':
    case 'close':
      return type
    default:
      return never(type)
  }
}

export function isForPeople(reason: ChangeReason): boolean {
  switch (reason) {
    case 'refused':
    case 'conflict':
    case 'schema':
    case 'restored':
    case 'unapplied':
      return true
    case 'held_back':
    case 'retrying':
    case 'remote_column_missing':
      return false
    default:
      return never(reason)
  }
}

// @ts-expect-error: no such alert
export const alert: AlertCode = 'no_snapshot'

export async function lag(db: Database): Promise<number> {
  const { sync, storage } = await db.health()
  // @ts-expect-error: null as long as nothing was pulled
  const lagMs: number = sync.lagMs
  // @ts-expect-error: null where the browser doesn't say
  const quota: number = storage.quota
  return lagMs + quota
}

/** The worker is a module with types: it exports nothing. */
export const nothing: Record<never, never> = {} satisfies typeof import('tidelock/worker.js')
