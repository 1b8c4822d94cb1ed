import type { Migration } from '../api/migrations.js'
import type { Encryption } from '../base/encryption.js'
import type { Warning } from '../base/events.js'
import type { Durability, StorageKind } from '../base/generated-types.js'
import type { ByteSource } from '../base/values.js'
import type { SnapshotTarget } from '../files/snapshot-copies.js'
import type { ColumnKey } from '../functions/column-key.js'
import type { FunctionsModule, SqlFunctions } from '../functions/functions.js'
import type { RemoteOptions } from '../remote/remote-options.js'

// The rules, that is the values that are accepted and the defaults, are in open-rules.ts and check-remote.ts. docs/reference/options.md is written
// from both.

export type { Durability, StorageKind }

/** What `open` does when another tab or process has the database open. */
export interface LockOptions {
  /**
   * `fail`: reject with `database_in_use`.
   * `wait`: wait until the database is free; `lock_timeout` after `timeoutMs`.
   * `takeover`: ask the holder to close. It finishes its transaction, stores everything, closes, and fires `lock` with the state
   * `released`. `lock_timeout` when it hasn't closed within `timeoutMs`, for example because it is frozen.
   * `steal`: take the database at once. The old holder can't store anything from then on: it fires `lock` with the state `lost`, and all
   * its calls reject with `lock_lost`. Commits that it had not stored yet are lost. Shared tabs wait until the new holder ends: meanwhile
   * their calls reject with `leader_unreachable`.
   *
   * `takeover` and `steal` need a browser: with `storage: 'file'` they are `unsupported_environment`.
   * @default 'fail'
   */
  readonly onBusy?: 'fail' | 'wait' | 'takeover' | 'steal' | undefined
  /**
   * How long `wait`, `takeover` and `steal` wait, in milliseconds.
   * @default 10000
   */
  readonly timeoutMs?: number | undefined
}

/** Periodic snapshots: when they are taken, how long they stay, and where copies go. */
export interface SnapshotOptions {
  /**
   * The time from one snapshot to the next, in milliseconds. A snapshot is skipped when nothing has changed.
   * @default 3600000
   */
  readonly intervalMs?: number | undefined
  /**
   * A cron pattern that replaces `intervalMs`: five fields, or six with the seconds first, in the browser's time zone. For example
   * `'0 3 * * *'`. A snapshot that was due while the database was closed is taken at the next opening. A pattern that can't be parsed is
   * `invalid_argument`.
   */
  readonly cron?: string | undefined
  /**
   * How many snapshots without a label to keep, besides those for safety, which stay for seven days.
   * @default 3
   */
  readonly keep?: number | undefined
  /**
   * How many days a snapshot without a label stays at most. The newest verified snapshot always stays.
   * @default no limit but `keep`
   */
  readonly retentionDays?: number | undefined
  /**
   * How often a failed snapshot is retried.
   * @default 3
   */
  readonly retries?: number | undefined
  /**
   * The wait before the first retry, in milliseconds. It doubles with each retry.
   * @default 1000
   */
  readonly backoffMs?: number | undefined
  /**
   * Whether snapshots are compressed.
   * @default true
   */
  readonly compress?: boolean | undefined
  /**
   * How a new snapshot is verified. `quick` reads the chunks that were written back; `full` reads all chunks and runs SQLite's
   * `quick_check`; `none` does neither, and the newest verified one stays.
   * @default 'quick'
   */
  readonly verify?: 'quick' | 'full' | 'none' | undefined
  /**
   * Whether a snapshot is taken when the page becomes hidden: only after changes, and at most once in 5 minutes. It replaces the previous
   * one of its kind.
   * @default true
   */
  readonly onHidden?: boolean | undefined
  /**
   * How long the page log stays, in milliseconds. `restore({ at })` can go back to any time in it, as far as `logMaxBytes` and the oldest
   * snapshot without a label allow.
   * @default 604800000
   */
  readonly logRetentionMs?: number | undefined
  /**
   * The largest size of the page log, in bytes. The part that opening needs stays in any case.
   * @default the larger of 64 MiB and twice the database
   */
  readonly logMaxBytes?: number | undefined
  /**
   * Where snapshots are copied to, outside of the browser's storage: {@link directoryTarget}, {@link uploadTarget}. Copied are snapshots
   * that are taken by call or by schedule. A copy is compressed as `compress` says and encrypted as the database is. A failed copy is
   * retried as `retries` and `backoffMs` say, and shows in `health()` and `snapshots.status()`.
   * @default []
   */
  readonly targets?: readonly SnapshotTarget[] | undefined
}

/** Where the wasm module comes from. */
export type WasmSource = URL | Response | ByteSource | WebAssembly.Module

/** Which tables are audited, and how. */
export interface AuditOptions {
  /** The tables whose changes are recorded. */
  readonly tables: readonly string[]
  /**
   * Columns whose values are never recorded: `'column'` for all tables, `'table.column'`, or an object with the columns of each table.
   * `[redacted]` stands in place of the values.
   * @default []
   */
  readonly redact?: readonly string[] | Readonly<Record<string, readonly string[]>> | undefined
  /**
   * After how many days {@link Database.maintain} deletes records.
   * @default no limit
   */
  readonly retentionDays?: number | undefined
}

/** The thresholds above which {@link Database.health} raises an alert. */
export interface HealthThresholds {
  /**
   * `no_recent_snapshot`: the age of the last snapshot, in milliseconds.
   * @default 86400000 (a day)
   */
  readonly noSnapshotMs?: number | undefined
  /**
   * `sync_lag`: the time since the last complete sync, in milliseconds.
   * @default 300000 (5 minutes)
   */
  readonly syncLagMs?: number | undefined
  /**
   * `storage_nearly_full`: the share of the quota that is in use.
   * @default 0.8
   */
  readonly storageRatio?: number | undefined
  /**
   * `growth`: the size of the database, as a multiple of its size a day ago.
   * @default 2
   */
  readonly growthFactor?: number | undefined
}

/** The options of {@link open}. */
export interface OpenOptions {
  /** The name of the database, of its lock and of its IndexedDB database: 1 to 128 whole characters, no control characters. */
  readonly name: string
  /** The history of the schema. Without this option nothing is run or checked. See {@link migrationsFrom}. */
  readonly migrations?: readonly Migration[] | undefined
  /**
   * Whether pending migrations run before `open` resolves. Migrations that have been applied are checked in any case.
   * @default true
   */
  readonly migrate?: boolean | undefined
  /**
   * What to do with a pending migration that is older than the newest applied one: reject with `migration_out_of_order`, or apply it.
   * @default 'error'
   */
  readonly outOfOrder?: 'error' | 'apply' | undefined
  /**
   * For development. When the stored database doesn't fit the migrations, because an applied one was edited or removed, or another branch
   * was checked out, `open` resets the database: it starts from the seed, if there is one, and runs all migrations. The data before becomes
   * a safety snapshot, and a warning says so. A failure leaves everything as it was.
   *
   * A production build (`process.env.NODE_ENV`, which bundlers replace) refuses it with `invalid_argument`; so does a page without a bundler
   * that doesn't come from localhost.
   * @default false
   */
  readonly dev?: boolean | undefined
  /** The version of the data, for data that comes without a tracking table: a seed, an import. */
  readonly baseline?: string | undefined
  /**
   * When the promise of a write resolves, and what may be lost.
   * `strict`: a power cut loses nothing.
   * `relaxed`: the end of the tab or the browser loses nothing.
   * `deferred`: the commit is in memory, and is stored within 50 ms. An ordinary close or navigation stores small commits.
   * `snapshot`: the commit is in memory. Only snapshots, {@link Database.flush} and {@link Database.close} store it. Needs `snapshots`.
   * With each of them the stored database is consistent: whole commits, in order.
   * @default 'relaxed'
   */
  readonly durability?: Durability | undefined
  /**
   * Where the data lives. There is no fallback: `open` rejects with `storage_unavailable` where the storage is missing. `opfs` is the
   * browser's private file system, where an awaited commit takes a fraction of the time; it needs Workers. `file` is a folder, in Node. A
   * server has no default: without `file` or `memory` it is `unsupported_environment`. A database stays in its storage: opening it with
   * another one is `invalid_argument`, and `moveStorage` moves it. `best` opens a database where it is; a new one is made in `opfs` where
   * the browser can, else in `indexeddb`. `health().storage.kind` is what was chosen.
   * @default 'indexeddb'
   */
  readonly storage?: StorageKind | 'best' | undefined
  /**
   * The folder of `storage: 'file'`, in Node. It holds a lock file with the id of the process, so that only one process can open the
   * database. The lock of a process that has ended is replaced; after 10 seconds, if it was one of another machine or container. One whose
   * thread was blocked that long counts as ended there: its calls are `lock_lost`.
   * @default `./<name>.tidelock/`
   */
  readonly path?: string | undefined
  /** What to do when another tab or process has the database open. */
  readonly lock?: LockOptions | undefined
  /**
   * `shared`: the first tab becomes the leader. Later tabs become followers, which send their calls to the leader. When the leader closes,
   * crashes or freezes, a follower takes over. See {@link Database.role}. Needs `storage: 'indexeddb'` or `'opfs'`. `encryption` and `integers` must be
   * the same in all tabs; for other options the leader's values hold. A browser without BroadcastChannel is `unsupported_environment`.
   * @default 'exclusive'
   */
  readonly tabs?: 'exclusive' | 'shared' | undefined
  /**
   * Where SQLite runs. `worker`: in a module worker of its own, so that the page stays responsive. The `Database` is the same, and callbacks
   * among the options run in the page. A call that is being executed is ended by `timeoutMs`, not by `signal`. `durability: 'deferred'`
   * stores at once. When the worker crashes, waiting calls reject with `worker_crashed`, and the database reopens itself with a warning;
   * with `storage: 'memory'` it is closed. Where there are no workers, as in Node: `unsupported_environment`.
   * @default 'current'
   */
  readonly thread?: 'current' | 'worker' | undefined
  /**
   * The worker of `thread: 'worker'` and of `storage: 'opfs'`: the URL of the package's `dist/worker.js`, or a function that makes a new worker from it with each
   * call. A worker that can't be loaded is `wasm_load_failed`.
   * @default found by the bundler
   */
  readonly worker?: URL | (() => Worker) | undefined
  /**
   * The wasm module: the URL of the package's `tidelock_bg.wasm`, with its parts in the same folder, or the module itself.
   * @default found by the bundler
   */
  readonly wasm?: WasmSource | undefined
  /** Periodic snapshots; `false` for none. Safety snapshots, for example before an import, are taken in any case. */
  readonly snapshots?: SnapshotOptions | false | undefined
  /**
   * A `.sqlite` file that fills a new database: its URL, its bytes, or a function that returns them. It is checked as by
   * {@link Database.import}; then pending migrations run, see `baseline`. Its unpushed changes and its user are not adopted. From a URL at
   * most `maxBytes` are read (`database_too_large`); a redirect is `sync_protocol`, and a response with less than 16 KiB in 30 s is
   * `sync_network`.
   */
  readonly seed?: string | URL | ByteSource | Blob | (() => Promise<ByteSource>) | undefined
  /**
   * Encrypts everything at rest. An existing database must have been encrypted with the same passphrase or key; otherwise, and without this
   * option, it is `decryption_failed`. An existing plain database is `invalid_argument`: see {@link Database.rekey}. With
   * `storage: 'memory'` nothing is at rest.
   */
  readonly encryption?: Encryption | undefined
  /** The Supabase or PostgREST endpoint to sync with. */
  readonly remote?: RemoteOptions | undefined
  /**
   * `local`: sync only when called. `cloud` (needs `remote`): the database keeps in sync by itself, as after {@link Sync.start}. It pushes
   * soon after each write, and the default of `conflict` is `'remote-wins'`. Neither `open` nor writes wait for the network: offline, or
   * without a valid token, everything but sync works, and sync resumes when it can. Local changes that were recorded in the other mode
   * are pushed, too.
   * @default 'local'
   */
  readonly mode?: 'local' | 'cloud' | undefined
  /**
   * Integers in results. `auto`: a number where that is exact, else a bigint. `number`: always a number; one that would have to be rounded is
   * `integer_out_of_range`.
   * @default 'auto'
   */
  readonly integers?: 'auto' | 'bigint' | 'number' | undefined
  /**
   * SQL functions and collations, available on every connection from the first statement on: in migrations, and in the scratch databases
   * that check snapshots and files. With `thread: 'worker'` or in a follower tab only `{ module: URL }`, which is imported there; a closure
   * is `unsupported_environment`. A module that can't be imported is `invalid_argument`.
   */
  readonly functions?: SqlFunctions | FunctionsModule | undefined
  /**
   * Gives SQL the functions `encrypt(text)`, which returns a blob, and `decrypt(blob)`, which returns the text. For columns that stay
   * ciphertext in the file and at the remote. AES-256-GCM, in a format that other programs can read (docs/encryption.md). Of several keys the
   * first one encrypts, and each decrypts its own values. NULL gives NULL. A value that can't be decrypted fails the statement with
   * `decryption_failed` (`details.reason`: `not_encrypted`, `other_key` or `damaged`). The key is not stored anywhere: without it these
   * columns can't be read.
   */
  readonly columnKey?: ColumnKey | readonly ColumnKey[] | undefined
  /**
   * Tables whose changes are recorded in the table {@link OpenOptions.auditTable}, in the transaction of the change. Its columns: `id`,
   * `action` (`insert`, `update`, `delete`), `table_name`, `record_id` (the key as text; a key of several columns as a JSON array),
   * `old_values` and `new_values` (the row as JSON, integers with all digits, blobs as `{"b":"hex"}`), `actor` ({@link Database.actor}; `sync`
   * for rows from the remote), `timestamp`. A table that doesn't exist yet is audited from its creation on. Anything but an ordinary table is
   * `invalid_argument`.
   */
  readonly audit?: readonly string[] | AuditOptions | undefined
  /**
   * For each table, the column with the time at which a row expires: {@link Database.maintain} then deletes the row. A text is ISO 8601, in
   * UTC unless it names a zone. A number is seconds since 1970, or milliseconds from 1e11 on. Any other value never expires.
   */
  readonly expires?: Readonly<Record<string, string>> | undefined
  /** The thresholds above which {@link Database.health} raises an alert. */
  readonly health?: HealthThresholds | undefined
  /**
   * The largest size of the database, in bytes; temporary tables may together be as large. Beyond it writes reject with `database_too_large`.
   * Databases that are read page by page (see `cacheBytes`) have no limit by default but that of the storage.
   * @default 1073741824
   */
  readonly maxBytes?: number | undefined
  /**
   * The size of the page cache, in bytes, at least 1 MiB: with `storage: 'file'`, and with `'opfs'` in a worker, a database is read page by
   * page, so that it may be larger than memory. SQLite itself keeps a quarter as much in its own cache, up to 16 MiB. The changes of a
   * transaction, and those since the last checkpoint, are in memory, too. Otherwise the whole database is in memory, and this option has no
   * effect.
   * @default 33554432
   */
  readonly cacheBytes?: number | undefined
  /**
   * The table in which applied migrations are tracked.
   * @default 'schema_migrations'
   */
  readonly migrationsTable?: string | undefined
  /**
   * The table of the option `audit`. An existing table of another shape is `migration_invalid`.
   * @default 'audit_log'
   */
  readonly auditTable?: string | undefined
  /** Cancels opening. */
  readonly signal?: AbortSignal | undefined
  /**
   * Gets warnings.
   * @default `console.warn`
   */
  readonly onWarning?: ((warning: Warning) => void) | undefined
}
