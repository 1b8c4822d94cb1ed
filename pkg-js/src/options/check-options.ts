import { checkEach } from '../base/check.js'
import { invalid, TidelockError } from '../base/errors.js'
import type { CoreOptions } from '../engine/core-options.js'
import type { SnapshotTarget } from '../files/snapshot-copies.js'
import { checkStorage, defaultPath, type StorageEnvironment } from './check-storage.js'
import { openRules } from './open-rules.js'
import type { OpenOptions } from './options.js'
import { complete } from './rule.js'

/** What the options depend on beside themselves: the page, or the program that opens the database. */
export interface OpenEnvironment extends StorageEnvironment {
  readonly title: string
  readonly url: string
  /** A place where a secret key of the remote may be: Node, not a page. */
  readonly secrets: boolean
}

/**
 * Checks the options of `open` and completes them with the defaults; all but those few that are left to `lazy-options.ts`.
 * Throws `invalid_argument` naming the option, and `unsupported_environment` naming what this build lacks.
 */
export function checkOptions(options: OpenOptions, environment: OpenEnvironment): CoreOptions {
  if (options === undefined) throw invalid("open needs options, at least { name: '...' }")
  const given = complete('', options, openRules)
  const { name, durability, lock, mode, migrations, baseline, health } = given
  checkTimetable(options)
  checkTargets(options)
  const { targets: _, cron, ...snapshots } = given.snapshots
  if (durability === 'snapshot' && !snapshots.enabled) {
    throw invalid("durability 'snapshot' needs snapshots", {
      details: { option: 'durability' },
      hint: 'Nothing else would store anything',
    })
  }
  const storage = checkStorage(given.storage, given.path, environment)
  if (given.tabs === 'shared') checkShared(storage)
  if (mode === 'cloud' && given.remote === undefined) {
    throw invalid("mode 'cloud' needs remote", {
      details: { option: 'mode' },
      hint: 'Pass the option remote: { url, key, tables }',
    })
  }
  return {
    name,
    storage,
    path: storage === 'file' ? ((given.path as string | undefined) ?? defaultPath(name)) : undefined,
    durability,
    integers: given.integers,
    maxBytes: given.maxBytes,
    cacheBytes: given.cacheBytes,
    onBusy: lock.onBusy,
    lockTimeoutMs: lock.timeoutMs,
    holder: { title: environment.title, url: environment.url },
    migrate: given.migrate,
    outOfOrder: given.outOfOrder,
    migrationsTable: given.migrationsTable,
    snapshots: { ...snapshots, timedByUser: cron !== undefined },
    mode,
    health,
    baseline,
    migrations,
  }
}

/** What tabs share lies in the browser, where the next one that leads finds it. */
function checkShared(storage: CoreOptions['storage']): void {
  if (storage === 'indexeddb' || storage === 'opfs') return
  const details = { option: 'tabs' }
  if (storage === 'memory') throw invalid("tabs 'shared' needs storage 'indexeddb' or 'opfs'", { details })
  throw new TidelockError('unsupported_environment', "Processes can't share a folder as tabs share a database", {
    details,
    hint: "Leave tabs out, for 'exclusive'",
  })
}

function checkTimetable({ snapshots }: OpenOptions): void {
  if (snapshots === false || snapshots?.cron === undefined || snapshots.intervalMs === undefined) return
  throw invalid('snapshots.cron and snapshots.intervalMs exclude each other', {
    hint: 'Leave one of them out',
    details: { option: 'snapshots.cron' },
  })
}

/** Targets stay in this thread: they are not among the options for the engine. */
function checkTargets({ snapshots }: OpenOptions): void {
  if (snapshots === false || snapshots?.targets === undefined) return
  const option = 'snapshots.targets'
  const wanted = 'an array of what directoryTarget and uploadTarget give'
  checkEach(option, snapshots.targets, wanted, (target) => {
    if (typeof (target as Partial<SnapshotTarget> | undefined)?.follow === 'function') return target as SnapshotTarget
    throw invalid(`${option} must be ${wanted}`, { details: { option } })
  })
}
