import { isA } from '../base/brand.js'
import { checkSignal, checkString } from '../base/check.js'
import { invalid } from '../base/errors.js'
import { checkMigrations } from './check-migrations.js'
import type { HealthThresholds, LockOptions, OpenOptions, SnapshotOptions } from './options.js'
import {
  boolean,
  byDefault,
  callback,
  checkedElsewhere,
  complete,
  days,
  integer,
  numberIn,
  objectOf,
  oneOf,
  type Rule,
  type Rules,
  required,
  text,
} from './rule.js'
import { checkSeed } from './seed.js'

// The options of `open`: what each may be, and its default.

const dayMs = 86_400_000
const mib = 1024 ** 2

export const lockRules = {
  onBusy: byDefault('fail', oneOf('fail', 'wait', 'takeover', 'steal')),
  timeoutMs: byDefault(10_000, integer(0)),
} satisfies Rules<LockOptions>

export const snapshotRules = {
  intervalMs: byDefault(3_600_000, integer(1)),
  cron: text,
  keep: byDefault(3, integer(1)),
  retentionDays: days,
  retries: byDefault(3, integer(0)),
  backoffMs: byDefault(1000, integer(0)),
  compress: byDefault(true, boolean),
  verify: byDefault('quick', oneOf('quick', 'full', 'none')),
  onHidden: byDefault(true, boolean),
  logRetentionMs: byDefault(7 * dayMs, integer(0)),
  logMaxBytes: integer(0),
  targets: checkedElsewhere,
} satisfies Rules<SnapshotOptions>

const positive = numberIn('more than 0', (value) => value > 0)

export const healthRules = {
  noSnapshotMs: positive,
  syncLagMs: positive,
  storageRatio: positive,
  growthFactor: positive,
} satisfies Rules<HealthThresholds>

/** A URL, or what else `isValid` holds of. */
function urlOr<T>(others: string, isValid: (value: unknown) => boolean): Rule<T> {
  return {
    check: (option, value) => {
      if (isA(value, 'URL') || isValid(value)) return value as T
      const hint = typeof value === 'string' ? 'new URL(path, import.meta.url) makes a URL of a path' : undefined
      throw invalid(`${option} must be a URL${others}`, { hint, details: { option } })
    },
  }
}

const name: Rule<string> = {
  check: (option, value) => checkName(value, option),
}

export const openRules = {
  name: required(name),
  migrations: { check: (_, value) => checkMigrations(value) },
  migrate: byDefault(true, boolean),
  outOfOrder: byDefault('error', oneOf('error', 'apply')),
  dev: byDefault(false, boolean),
  baseline: text,
  durability: byDefault('relaxed', oneOf('strict', 'relaxed', 'deferred', 'snapshot')),
  storage: checkedElsewhere,
  path: checkedElsewhere,
  lock: byDefault(complete('lock', undefined, lockRules), objectOf(lockRules)),
  tabs: byDefault('exclusive', oneOf('exclusive', 'shared')),
  thread: byDefault('current', oneOf('current', 'worker')),
  worker: urlOr(' or a function that makes a Worker', (value) => typeof value === 'function'),
  wasm: urlOr(
    ', a Response, bytes or a WebAssembly.Module',
    (value) => isA(value, 'Response', 'ArrayBuffer', 'WebAssembly.Module') || ArrayBuffer.isView(value),
  ),
  snapshots: {
    check: (option, value) => {
      const given = complete(option, value === false ? undefined : value, snapshotRules, 'an object, or false for none')
      return { ...given, enabled: value !== false }
    },
    default: { ...complete('snapshots', undefined, snapshotRules), enabled: true },
  },
  encryption: checkedElsewhere,
  seed: {
    check: (_, value) => {
      checkSeed(value)
      return value
    },
  },
  remote: checkedElsewhere,
  mode: byDefault('local', oneOf('local', 'cloud')),
  integers: byDefault('auto', oneOf('auto', 'bigint', 'number')),
  functions: checkedElsewhere,
  columnKey: checkedElsewhere,
  maxBytes: integer(64 * 1024),
  cacheBytes: byDefault(32 * mib, integer(mib)),
  migrationsTable: byDefault('schema_migrations', text),
  signal: { check: checkSignal },
  onWarning: callback,
  audit: checkedElsewhere,
  auditTable: byDefault('audit_log', text),
  expires: checkedElsewhere,
  health: objectOf(healthRules),
} satisfies Rules<OpenOptions>

/** The name of a database. */
export function checkName(name: unknown, option = 'name'): string {
  const checked = checkString(option, name)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  if (checked.length > 128 || /[\u0000-\u001f\u007f-\u009f]/.test(checked)) {
    throw invalid('name must have 1 to 128 characters and no control characters', { details: { option } })
  }
  // The names of locks and files replace each lone surrogate by the same character: two databases would share one place.
  if (/\p{Surrogate}/u.test(checked)) {
    throw invalid('name has half of a surrogate pair', {
      details: { option },
      hint: 'Give it whole characters: Array.from(text) splits a text between them',
    })
  }
  return checked
}
