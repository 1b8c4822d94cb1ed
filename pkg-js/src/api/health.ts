import type { SnapshotStatus, TargetStatus } from '../files/snapshot-info.js'

/** Something that deserves attention. */
export interface Alert {
  readonly code: string
  readonly severity: 'info' | 'warning'
  readonly message: string
}

/** A statement that took long. */
export interface SlowQuery {
  readonly sql: string
  readonly ms: number
  /** How SQLite would run it now, step by step; empty when that can't be told. */
  readonly plan: readonly string[]
  readonly [fact: string]: unknown
}

/** What {@link Database.health} tells. `degraded`: there is a warning; `failed`: closed, lock lost, or can't be written. */
export interface Health {
  readonly status: 'ok' | 'degraded' | 'failed'
  readonly database: 'local' | 'cloud'
  readonly name: string
  readonly timestamp: string
  readonly snapshot: Omit<SnapshotStatus, 'targets'>
  readonly lock: { readonly state: string; readonly since: string | null; readonly epoch: number | null }
  readonly migrations: { readonly current: string | null; readonly pending: number; readonly modified: number }
  readonly storage: {
    readonly kind: string
    readonly durability: string
    readonly bytes: number
    readonly logBytes: number
    readonly usage: number | null
    readonly quota: number | null
    readonly persisted: boolean | null
    readonly lastError: unknown
  }
  readonly sync: {
    readonly phase: string
    readonly pending: number
    readonly rejected: number
    readonly lagMs: number | null
    readonly lastError: unknown
  }
  readonly queries: {
    readonly count: number
    readonly errors: number
    readonly p50Ms: number
    readonly p95Ms: number
    readonly slow: readonly SlowQuery[]
  }
  readonly alerts: readonly Alert[]
}

/** Returns the health with an alert for each target to which the newest snapshot could not be copied. */
export function withTargets(health: Health, targets: readonly TargetStatus[]): Health {
  const alerts = targets.flatMap(({ kind, lastError }): Alert[] =>
    lastError === null
      ? []
      : [{ code: 'snapshot_failing', severity: 'warning', message: `Copy to ${kind}: ${lastError.message}` }],
  )
  if (alerts.length === 0) return health
  return {
    ...health,
    status: health.status === 'ok' ? 'degraded' : health.status,
    alerts: [...health.alerts, ...alerts],
  }
}

/** Returns the health of a database whose engine has ended or can't report it: only what this thread knows. */
export function fallbackHealth(
  known: { name: string; mode: 'local' | 'cloud'; storage: string; durability: string },
  why: Alert | undefined,
  status: 'degraded' | 'failed',
): Health {
  return {
    status,
    database: known.mode,
    name: known.name,
    timestamp: new Date().toISOString(),
    snapshot: {
      lastAttempt: null,
      lastSuccess: null,
      lastError: null,
      consecutiveFailures: 0,
      nextAt: null,
      count: 0,
      bytes: 0,
    },
    lock: { state: status === 'failed' ? 'released' : 'held', since: null, epoch: null },
    migrations: { current: null, pending: 0, modified: 0 },
    storage: {
      kind: known.storage,
      durability: known.durability,
      bytes: 0,
      logBytes: 0,
      usage: null,
      quota: null,
      persisted: null,
      lastError: null,
    },
    sync: { phase: 'stopped', pending: 0, rejected: 0, lagMs: null, lastError: null },
    queries: { count: 0, errors: 0, p50Ms: 0, p95Ms: 0, slow: [] },
    alerts: why === undefined ? [] : [why],
  }
}
