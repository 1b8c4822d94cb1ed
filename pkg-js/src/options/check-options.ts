import { isA } from '../base/brand.js'
import {
  checkBoolean,
  checkDays,
  checkFunction,
  checkInteger,
  checkObject,
  checkOneOf,
  checkSignal,
  checkString,
  optional,
} from '../base/check.js'
import { invalid, TidelockError } from '../base/errors.js'
import type { CoreOptions, CoreSnapshotOptions } from '../engine/core.js'
import { checkEncryption } from '../files/check-encryption.js'
import { checkFileEncryption } from '../files/file-encryption.js'
import type { SnapshotTarget } from '../files/snapshot-copies.js'
import { checkMigrations } from './check-migrations.js'
import { checkStorage, defaultPath, type Place } from './check-storage.js'
import type { OpenOptions } from './options.js'
import { checkSeed } from './seed.js'

const gib = 1024 ** 3

const known: readonly (keyof OpenOptions)[] = [
  'name',
  'migrations',
  'migrate',
  'outOfOrder',
  'baseline',
  'durability',
  'storage',
  'path',
  'lock',
  'tabs',
  'thread',
  'worker',
  'wasm',
  'snapshots',
  'encryption',
  'seed',
  'remote',
  'mode',
  'integers',
  'functions',
  'columnKey',
  'maxBytes',
  'migrationsTable',
  'signal',
  'onWarning',
  'audit',
  'auditTable',
  'expires',
  'health',
]

/** What the page says about itself; the defaults depend on it. */
export interface Surroundings extends Place {
  readonly title: string
  readonly url: string
  /** A place where a secret key of the remote may be: Node, not a page. */
  readonly secrets: boolean
}

/**
 * Checks the options of `open` and completes them with the defaults; all but those few that are left to `rare-options.ts`.
 * Fails with `invalid_argument` naming the option, and with `unsupported_environment` naming what this build lacks.
 */
export function checkOptions(options: OpenOptions, around: Surroundings): CoreOptions {
  if (options === undefined) throw invalid("open needs options, at least { name: '...' }")
  const given = checkObject('The argument of open', options, known, ['cacheBytes'])
  if (given.signal !== undefined) checkSignal('signal', given.signal)
  if (given.onWarning !== undefined) checkFunction('onWarning', given.onWarning)
  if (given.wasm !== undefined) checkWasm(given.wasm)
  if (given.encryption !== undefined) checkEncryption(given.encryption)
  if (given.seed !== undefined) checkSeed(given.seed)

  const snapshots = checkSnapshots(given.snapshots)
  checkTargets(options)
  const durability = checkOneOf('durability', given.durability ?? 'relaxed', [
    'strict',
    'relaxed',
    'deferred',
    'snapshot',
  ])
  if (durability === 'snapshot' && !snapshots.enabled) {
    throw invalid("durability 'snapshot' needs snapshots", {
      details: { option: 'durability' },
      hint: 'Nothing else would store anything',
    })
  }
  const storage = checkStorage(given.storage, given.path, around)
  if (checkOneOf('tabs', given.tabs ?? 'exclusive', ['exclusive', 'shared']) === 'shared') checkShared(storage)
  checkOneOf('thread', given.thread ?? 'current', ['current', 'worker'])
  if (given.worker !== undefined && typeof given.worker !== 'function' && !isA(given.worker, 'URL'))
    throw invalid('worker must be a URL or a function that makes a Worker', { details: { option: 'worker' } })
  const mode = checkOneOf('mode', given.mode ?? 'local', ['local', 'cloud'])
  if (mode === 'cloud' && given.remote === undefined) {
    throw invalid("mode 'cloud' needs remote", {
      details: { option: 'mode' },
      hint: 'Pass the option remote: { url, key, tables }',
    })
  }
  const { onBusy, timeoutMs } = checkLock(given.lock)

  return {
    name: checkName(given.name),
    storage,
    path: storage === 'file' ? ((given.path as string | undefined) ?? defaultPath(given.name as string)) : undefined,
    durability,
    integers: checkOneOf('integers', given.integers ?? 'auto', ['auto', 'bigint', 'number']),
    maxBytes: checkInteger('maxBytes', given.maxBytes ?? gib, 64 * 1024),
    onBusy,
    lockTimeoutMs: timeoutMs,
    holder: { title: around.title, url: around.url },
    migrate: checkBoolean('migrate', given.migrate ?? true),
    outOfOrder: checkOneOf('outOfOrder', given.outOfOrder ?? 'error', ['error', 'apply']),
    migrationsTable: checkString('migrationsTable', given.migrationsTable ?? 'schema_migrations'),
    snapshots,
    mode,
    health: given.health === undefined ? undefined : checkThresholds(given.health),
    baseline: optional('baseline', given.baseline, checkString),
    migrations: given.migrations === undefined ? undefined : checkMigrations(given.migrations),
  }
}

/** The name of a database. */
export function checkName(name: unknown): string {
  checkString('name', name)
  const text = name as string
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  if (text.length > 128 || /[\u0000-\u001f\u007f-\u009f]/.test(text)) {
    throw invalid('name must have 1 to 128 characters and no control characters', { details: { option: 'name' } })
  }
  return text
}

/** What tabs share lies in the browser, where the next one that leads finds it. */
function checkShared(storage: CoreOptions['storage']): void {
  if (storage === 'indexeddb') return
  const details = { option: 'tabs' }
  if (storage === 'memory') throw invalid("tabs 'shared' needs storage 'indexeddb'", { details })
  throw new TidelockError('unsupported_environment', "Processes can't share a folder as tabs share a database", {
    details,
    hint: "Leave tabs out, for 'exclusive'",
  })
}

function checkLock(lock: unknown): { onBusy: CoreOptions['onBusy']; timeoutMs: number } {
  const given = checkObject('lock', lock, ['onBusy', 'timeoutMs'])
  const onBusy = checkOneOf('lock.onBusy', given.onBusy ?? 'fail', ['fail', 'wait', 'takeover', 'steal'])
  return { onBusy, timeoutMs: checkInteger('lock.timeoutMs', given.timeoutMs ?? 10_000, 0) }
}

function checkSnapshots(snapshots: unknown): CoreSnapshotOptions {
  const keys = ['intervalMs', 'keep', 'retries', 'backoffMs', 'compress', 'verify', 'onHidden', 'targets']
  keys.push('retentionDays', 'logRetentionMs', 'logMaxBytes', 'cron')
  const given = checkObject('snapshots', snapshots === false ? undefined : snapshots, keys)
  if (given.cron !== undefined) {
    checkString('snapshots.cron', given.cron)
    if (given.intervalMs !== undefined)
      throw invalid('snapshots.cron and snapshots.intervalMs exclude each other', {
        hint: 'Leave one of them out',
        details: { option: 'snapshots.cron' },
      })
  }
  return {
    enabled: snapshots !== false,
    timedByUser: given.cron !== undefined,
    intervalMs: checkInteger('snapshots.intervalMs', given.intervalMs ?? 3_600_000, 1),
    keep: checkInteger('snapshots.keep', given.keep ?? 3, 1),
    retries: checkInteger('snapshots.retries', given.retries ?? 3, 0),
    backoffMs: checkInteger('snapshots.backoffMs', given.backoffMs ?? 1000, 0),
    onHidden: checkBoolean('snapshots.onHidden', given.onHidden ?? true),
    compress: checkBoolean('snapshots.compress', given.compress ?? true),
    verify: checkOneOf('snapshots.verify', given.verify ?? 'quick', ['quick', 'full', 'none']),
    logRetentionMs: checkInteger('snapshots.logRetentionMs', given.logRetentionMs ?? 7 * 86_400_000, 0),
    retentionDays: optional('snapshots.retentionDays', given.retentionDays, checkDays),
    logMaxBytes: optional('snapshots.logMaxBytes', given.logMaxBytes, (what, value) => checkInteger(what, value, 0)),
  }
}

/** Targets stay in this thread: they are not among the options for the engine. */
function checkTargets({ snapshots, encryption }: OpenOptions): void {
  if (snapshots === false || snapshots?.targets === undefined) return
  const option = 'snapshots.targets'
  const targets: readonly Partial<SnapshotTarget>[] = snapshots.targets
  if (!Array.isArray(targets) || targets.some((target) => typeof target?.follow !== 'function'))
    throw invalid(`${option} must be an array of what directoryTarget and uploadTarget give`, { details: { option } })
  // What is encrypted here must not lie about in the open elsewhere.
  if (encryption !== undefined && targets.some(({ encrypt }) => encrypt === undefined))
    checkFileEncryption('The encryption of files for targets', encryption)
}

function checkThresholds(thresholds: unknown): object {
  const given = checkObject('health', thresholds, ['noSnapshotMs', 'syncLagMs', 'storageRatio', 'growthFactor'])
  for (const [name, value] of Object.entries(given)) {
    if (typeof value !== 'number' || !(value > 0))
      throw invalid(`health.${name} must be a number, more than 0`, { details: { option: `health.${name}` } })
  }
  return given
}

/** Parts of a day are fine. */
function checkWasm(wasm: unknown): void {
  if (!isA(wasm, 'URL', 'Response', 'ArrayBuffer', 'WebAssembly.Module') && !ArrayBuffer.isView(wasm)) {
    throw invalid('wasm must be a URL, a Response, bytes or a WebAssembly.Module', { details: { option: 'wasm' } })
  }
}
