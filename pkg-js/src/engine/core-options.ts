import type { Durability, StorageKind } from '../base/generated-types.js'

// The options as the wasm module takes them: plain data. Nothing here is public.

/** A migration as the wasm module takes it: functions stay here and are called back by version. */
export interface CoreMigration {
  readonly version: string
  readonly name: string
  readonly up?: string
  readonly down?: string
  readonly checksum?: string
  readonly transaction: boolean
  readonly upIsFunction: boolean
  readonly downIsFunction: boolean
}

/** The options of {@link import('./core.js').CoreClass.open}: plain data, complete with all defaults. */
export interface CoreOptions {
  readonly name: string
  readonly storage: StorageKind
  /** The folder of `storage: 'file'`. */
  readonly path?: string
  readonly durability: Durability
  readonly integers: 'auto' | 'bigint' | 'number'
  /** Undefined: what memory allows, or the storage where the database is read page by page. */
  readonly maxBytes: number | undefined
  readonly cacheBytes: number
  readonly onBusy: 'fail' | 'wait' | 'takeover' | 'steal'
  readonly lockTimeoutMs: number
  readonly holder: { readonly title: string; readonly url: string }
  readonly migrate: boolean
  readonly outOfOrder: 'error' | 'apply'
  readonly baseline?: string
  readonly migrationsTable: string
  readonly migrations?: readonly CoreMigration[]
  readonly snapshots: CoreSnapshotOptions
  readonly mode: 'local' | 'cloud'
  readonly remote?: CoreRemoteOptions
  readonly audit?: CoreAudit
  readonly expires?: readonly CoreExpiry[]
  /** The thresholds of health that were given. */
  readonly health?: object
}

/** The audit, complete with all defaults. */
export interface CoreAudit {
  readonly table: string
  readonly tables: readonly string[]
  /** Without a table: in each. */
  readonly redact: readonly { readonly table?: string; readonly column: string }[]
  readonly retentionDays?: number
}

/** The column by which the rows of a table expire. */
export interface CoreExpiry {
  readonly table: string
  readonly column: string
}

/** The snapshot part of {@link CoreOptions}. */
export interface CoreSnapshotOptions {
  readonly enabled: boolean
  /** The user's own timetable says when, instead of the interval. */
  readonly timedByUser: boolean
  readonly intervalMs: number
  readonly keep: number
  readonly retries: number
  readonly backoffMs: number
  readonly onHidden: boolean
  readonly compress: boolean
  readonly verify: 'quick' | 'full' | 'none'
  readonly logRetentionMs: number
  readonly retentionDays?: number
  readonly logMaxBytes?: number
}

/** The remote part of {@link CoreOptions}; a table given by its name is made `{ table }`. */
export interface CoreRemoteOptions {
  readonly url: string
  readonly key: string
  readonly userId?: string
  /** The only user to whom the database may belong. */
  readonly owner?: string
  readonly schema: string
  readonly tables: readonly object[]
  readonly pageSize: number
  readonly headers: Readonly<Record<string, string>>
  readonly retries: number
  readonly timeoutMs: number
  readonly maxResponseBytes: number
  readonly maxDeleteRatio: number
  readonly realtime: boolean
  readonly hasAccessToken: boolean
  /** This is no page: a secret key may be here. */
  readonly secretsAllowed: boolean
}
