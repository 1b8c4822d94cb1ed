import type { Migration } from '../api/migrations.js'
import type { Encryption } from '../base/encryption.js'
import type { Warning } from '../base/events.js'
import type { SnapshotTarget } from '../files/snapshot-copies.js'
import type { ColumnKey } from '../functions/column-key.js'
import type { FunctionsModule, SqlFunctions } from '../functions/functions.js'
import type { RemoteOptions } from '../remote/remote-options.js'

/** When the promise of a write resolves: see {@link OpenOptions.durability}. */
export type Durability = 'strict' | 'relaxed' | 'deferred' | 'snapshot'

/** Where the data lives: see {@link OpenOptions.storage}. */
export type StorageKind = 'indexeddb' | 'memory' | 'file'

/** What to do when another tab has the database. */
export interface LockOptions {
  /**
   * `fail`: reject with `database_in_use`.
   * `wait`: until it is free; `lock_timeout` after `timeoutMs`.
   * `takeover`: ask the holder, who finishes its transaction, stores everything, closes and fires `lock` with the state
   * `released`; `lock_timeout` when it hasn't within `timeoutMs`, as when it is frozen.
   * `steal`: take it. The holder can't store anything from then on, fires `lock` with the state `lost`, and all its calls reject
   * with `lock_lost`. What it had not stored yet is lost.
   *
   * `takeover` and `steal` are for browsers: with `storage: 'file'` they are `unsupported_environment`.
   * @default 'fail'
   */
  readonly onBusy?: 'fail' | 'wait' | 'takeover' | 'steal' | undefined
  /** @default 10000 */
  readonly timeoutMs?: number | undefined
}

/** Periodic snapshots. */
export interface SnapshotOptions {
  /**
   * How long from one to the next. A scheduled one is skipped when nothing has changed.
   * @default 3600000
   */
  readonly intervalMs?: number | undefined
  /**
   * When to take one, instead of after `intervalMs`: a cron pattern of five fields (six with seconds first) in the time zone of the browser, as
   * `'0 3 * * *'`. One that was due while the database was closed is taken at the next opening. What can't be read is `invalid_argument`.
   */
  readonly cron?: string | undefined
  /**
   * How many without a label to keep.
   * @default 3
   */
  readonly keep?: number | undefined
  /**
   * How many days those without a label stay at most; the last good one stays longer.
   * @default as long as `keep` lets them
   */
  readonly retentionDays?: number | undefined
  /**
   * How often a failed one is tried again.
   * @default 3
   */
  readonly retries?: number | undefined
  /**
   * The wait before the first new try; it doubles.
   * @default 1000
   */
  readonly backoffMs?: number | undefined
  /** @default true */
  readonly compress?: boolean | undefined
  /**
   * `quick` reads again the chunks that it wrote; `full` reads everything and runs `quick_check`; `none` trusts.
   * @default 'quick'
   */
  readonly verify?: 'quick' | 'full' | 'none' | undefined
  /**
   * One is taken when the page is hidden, if something changed, at most once in 5 minutes. It replaces the one before of its kind.
   * @default true
   */
  readonly onHidden?: boolean | undefined
  /**
   * How long the page log stays, from which `restore({ at })` brings back any moment: as far back as the oldest kept
   * snapshot without a label, and `logMaxBytes`, allow.
   * @default 604800000 (7 days)
   */
  readonly logRetentionMs?: number | undefined
  /**
   * How many bytes the page log may have. What opening needs stays beyond it.
   * @default the larger of 64 MiB and twice the database
   */
  readonly logMaxBytes?: number | undefined
  /**
   * Where each snapshot taken by hand or on time is copied to, outside of the browser's storage: {@link directoryTarget},
   * {@link uploadTarget}. Compressed as `compress` says, encrypted as the database is. A failed copy is tried again as `retries` and
   * `backoffMs` say, and shows in `health()` and `snapshots.status()`.
   * @default []
   */
  readonly targets?: readonly SnapshotTarget[] | undefined
}

/** Where the wasm module comes from. */
export type WasmSource = URL | Response | BufferSource | WebAssembly.Module

/** What is audited, and how. */
export interface AuditOptions {
  readonly tables: readonly string[]
  /** Columns whose values are never written: as `'column'`, as `'table.column'`, or by table. Instead of them stands `[redacted]`. */
  readonly redact?: readonly string[] | Readonly<Record<string, readonly string[]>> | undefined
  /**
   * After how many days {@link Database.maintain} deletes rows of the log.
   * @default they stay
   */
  readonly retentionDays?: number | undefined
}

/** From where on something is an alert. */
export interface HealthThresholds {
  /**
   * `no_recent_snapshot`: milliseconds.
   * @default 86400000 (a day)
   */
  readonly noSnapshotMs?: number | undefined
  /**
   * `sync_lag`: milliseconds.
   * @default 300000 (5 minutes)
   */
  readonly syncLagMs?: number | undefined
  /**
   * `storage_nearly_full`: the share of the quota.
   * @default 0.8
   */
  readonly storageRatio?: number | undefined
  /**
   * `growth`: how many times as large as a day ago.
   * @default 2
   */
  readonly growthFactor?: number | undefined
}

/** The options of {@link open}. */
export interface OpenOptions {
  /** Names the database, its lock and its IndexedDB database; 1 to 128 characters, no control characters. */
  readonly name: string
  /** The schema's history; without it nothing is run or checked. See {@link migrationsFrom}. */
  readonly migrations?: readonly Migration[] | undefined
  /**
   * Whether pending migrations run before `open` resolves. The applied ones are checked in any case.
   * @default true
   */
  readonly migrate?: boolean | undefined
  /**
   * What to do with a pending migration older than the newest applied one.
   * @default 'error'
   */
  readonly outOfOrder?: 'error' | 'apply' | undefined
  /** For data that comes without a tracking table: the version it stands at. */
  readonly baseline?: string | undefined
  /**
   * When a write's promise resolves. `strict`: a power cut loses nothing of it. `relaxed`: the death of the tab or browser loses
   * nothing of it. `deferred`: it is done in memory, and stored within 50 ms; an ordinary close or navigation stores what is
   * small. `snapshot`: it is done in memory, and only snapshots, {@link Database.flush} and {@link Database.close} store it;
   * needs `snapshots`. What is stored is a consistent database in each of them: whole commits, in order.
   * @default 'relaxed'
   */
  readonly durability?: Durability | undefined
  /**
   * Never falls back: where it is missing, `open` rejects with `storage_unavailable`. `file` is a folder, in Node. On a server nothing is
   * the default: `unsupported_environment`, unless `file` or `memory` is asked for.
   * @default 'indexeddb'
   */
  readonly storage?: StorageKind | undefined
  /**
   * The folder of `storage: 'file'`, in Node. It holds a lock file with the number of the process: one process at a time has the
   * database, and that of a process which has died is replaced. Of a process on another machine that can't be known: its lock
   * is respected, and to be removed by hand.
   * @default `./<name>.tidelock/`
   */
  readonly path?: string | undefined
  readonly lock?: LockOptions | undefined
  /**
   * `shared`: the first tab leads, later ones follow and send it their calls; when it closes, dies or freezes, another one takes over.
   * See {@link Database.role}. Only with `storage: 'indexeddb'`; `encryption` and `integers` are the same in all tabs, other options are the
   * leader's. Where a browser lacks BroadcastChannel: `unsupported_environment`.
   * @default 'exclusive'
   */
  readonly tabs?: 'exclusive' | 'shared' | undefined
  /**
   * Where SQLite runs. `worker`: in a module worker of its own, so that the page goes on meanwhile; the database is the same, and functions of
   * these options run in the page. A call that executes already is ended by its `timeoutMs`, not by its `signal`. `durability: 'deferred'`
   * stores at once there. When the worker dies, waiting calls reject with `worker_crashed` and the database opens itself again, with
   * a warning; with `storage: 'memory'` it is closed. Where there are no workers, as in Node: `unsupported_environment`.
   * @default 'current'
   */
  readonly thread?: 'current' | 'worker' | undefined
  /**
   * Where `thread: 'worker'` gets its worker: the place of the package's `dist/worker.js`, or a function that makes a worker of it, a new one
   * each time. When it can't be loaded, `open` rejects with `wasm_load_failed`.
   * @default found by the bundler
   */
  readonly worker?: URL | (() => Worker) | undefined
  /**
   * Where the wasm module comes from: the place of the package's `tidelock_bg.wasm`, with its parts beside it, or the module itself.
   * @default found by the bundler
   */
  readonly wasm?: WasmSource | undefined
  /** Periodic snapshots; `false`: none but those taken for safety. */
  readonly snapshots?: SnapshotOptions | false | undefined
  /**
   * A `.sqlite` file, used only when there is no data yet: its URL, its bytes, or a function that gives them. It is checked
   * as for {@link Database.import}; pending migrations then run, see `baseline`. Its unpushed changes and its user don't come
   * along. From a URL no more than `maxBytes` is read (`database_too_large`), a redirect is `sync_protocol`, and an answer of which fewer than
   * 16 KiB come in 30 s is `sync_network`.
   */
  readonly seed?: string | URL | BufferSource | Blob | (() => Promise<BufferSource>) | undefined
  /**
   * Encrypts everything at rest: a new database from its beginning on. One that is there must have been encrypted with the same
   * passphrase or key, else `decryption_failed` (and without this option, too); one that is plain is `invalid_argument`, see
   * {@link Database.rekey}. With `storage: 'memory'` there is nothing at rest.
   */
  readonly encryption?: Encryption | undefined
  /** The endpoint to sync with. */
  readonly remote?: RemoteOptions | undefined
  /**
   * `local`: sync only when called. `cloud` (needs `remote`): the database keeps in step by itself from the opening on, as after
   * {@link Sync.start}, sends what is written soon after, and `conflict` is by default `'remote-wins'`. Neither `open` nor writes
   * wait for the network: offline, without a token or with one that has expired, everything but sync works, and sync goes on
   * when it can. What local changes a database of the other mode has captured is sent.
   * @default 'local'
   */
  readonly mode?: 'local' | 'cloud' | undefined
  /**
   * Integers in results. `auto`: a number while exact, else a bigint; `number`: `integer_out_of_range` rather than round.
   * @default 'auto'
   */
  readonly integers?: 'auto' | 'bigint' | 'number' | undefined
  /**
   * SQL functions and collations, there from the first statement on: in migrations and in the scratch databases that check snapshots and
   * files, too. With `thread: 'worker'` only `{ module: URL }`, which is imported there; functions themselves are
   * `unsupported_environment` then. A module that can't be imported: `invalid_argument`.
   */
  readonly functions?: SqlFunctions | FunctionsModule | undefined
  /**
   * Gives SQL the functions `encrypt(text)`, a blob, and `decrypt(blob)`, the text again: for columns that are nobody's business, neither in
   * the file nor at the remote, where they sync as ciphertext. AES-256-GCM, in a format that other programs can read (docs/columns.md). Of
   * several keys the first encrypts, and each decrypts what it has encrypted. NULL gives NULL. What can't be decrypted fails the
   * statement with `decryption_failed` (`details.reason`: `not_encrypted`, `other_key` or `damaged`). It is not kept anywhere: without
   * it nothing of these columns can be read any more.
   */
  readonly columnKey?: ColumnKey | readonly ColumnKey[] | undefined
  /**
   * Tables whose changes are written into the table {@link OpenOptions.auditTable}, in the transaction of the change itself: `id`, `action`
   * (`insert`, `update`, `delete`), `table_name`, `record_id` (the key as text, of several columns as a JSON array), `old_values` and
   * `new_values` (the row as JSON, integers with all their digits, blobs as `{"b":"hex"}`), `actor` ({@link Database.actor}; `sync` for
   * rows of the remote), `timestamp`. A table that doesn't exist yet is audited from its creation on. What isn't an ordinary table is
   * `invalid_argument`.
   */
  readonly audit?: readonly string[] | AuditOptions | undefined
  /**
   * By table, the column that says when a row has expired: {@link Database.maintain} deletes it then, as any row is deleted. A text is
   * ISO 8601 (UTC, unless it names a zone); a number is seconds since 1970, or milliseconds from 1e11 on; all else never expires.
   */
  readonly expires?: Readonly<Record<string, string>> | undefined
  /** From where on {@link Database.health} has an alert. */
  readonly health?: HealthThresholds | undefined
  /**
   * More than that gives `database_too_large`.
   * @default 1073741824
   */
  readonly maxBytes?: number | undefined
  /** @default 'schema_migrations' */
  readonly migrationsTable?: string | undefined
  /**
   * The table of the option `audit`. An existing one of another shape: `migration_invalid`.
   * @default 'audit_log'
   */
  readonly auditTable?: string | undefined
  /** Gives up opening. */
  readonly signal?: AbortSignal | undefined
  /** @default `console.warn` */
  readonly onWarning?: ((warning: Warning) => void) | undefined
}
