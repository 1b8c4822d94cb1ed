import { isTidelockError, type TidelockError } from '../base/errors.js'
import type { Alert, Health } from '../base/generated-types.js'
import type { Connection } from '../engine/connection.js'
import type { CoreOptions } from '../engine/core-options.js'
import type { SnapshotCopier } from '../files/snapshot-copier.js'
import type { TargetStatus } from '../files/snapshot-info.js'

type KnownOptions = Pick<CoreOptions, 'name' | 'mode' | 'storage' | 'durability' | 'health'>

/** Returns the health that the engine reports; where it can't, what this thread knows. `death` is the error that ended the engine. */
export async function healthOf(
  connection: Connection,
  known: KnownOptions,
  copier: SnapshotCopier | undefined,
  death: TidelockError | undefined,
): Promise<Health> {
  try {
    const health = await connection.read<Health>(undefined, (core) => core.health(known.health ?? {}))
    return withTargets(health, copier?.statuses() ?? [])
  } catch (error) {
    // The report is computed in a part of the wasm that may have failed to load.
    const unread = isTidelockError(error, 'wasm_load_failed') && !connection.closed
    const why = unread ? error : death
    const alert: Alert | undefined = why && { code: why.code, severity: 'warning', message: why.message }
    return fallbackHealth(known, alert, unread ? 'degraded' : 'failed')
  }
}

/** Returns the health with an alert for each target to which the newest snapshot could not be copied. */
function withTargets(health: Health, targets: readonly TargetStatus[]): Health {
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
function fallbackHealth(known: KnownOptions, why: Alert | undefined, status: 'degraded' | 'failed'): Health {
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
      cache: null,
      lastError: null,
    },
    sync: { phase: 'off', pending: 0, rejected: 0, lagMs: null, lastError: null },
    queries: { count: 0, errors: 0, p50Ms: 0, p95Ms: 0, slow: [] },
    alerts: why === undefined ? [] : [why],
  }
}
