import type { Part } from '../../generated/instance.js'

// What the wasm module offers: the hand-written types of its class `Core` and of the functions that it calls back.
// One wasm instance = one `Core` = one database. Nothing here is public.

import type { Encryption } from '../base/encryption.js'
import type { Warning } from '../base/events.js'
import type {
  Conflict,
  ConflictEntry,
  Drift,
  EngineEvent,
  GeneratedMigration,
  Health,
  LintFinding,
  LocalSchema,
  MaintenanceReport,
  MigrationReport,
  MigrationStatus,
  OutboxEntry,
  PlannedMigration,
  PlanRow,
  PullProgress,
  PullReport,
  PushReport,
  RecoveryReport,
  SchemaScript,
  SnapshotHealth,
  SnapshotHistory,
  SnapshotInfo,
  SnapshotVerification,
  StoredDatabase,
  SyncStatus,
} from '../base/generated-types.js'
import type { Bytes } from '../base/values.js'
import type { HttpRequest, HttpResponse, RequestEvent } from '../remote/request.js'
import type { CoreAudit, CoreExpiry, CoreOptions, CoreRemoteOptions } from './core-options.js'
import type { SyncCall } from './last-sync-call.js'

/** What {@link Core.execute} is to do with a statement. */
export const op = {
  query: 0,
  get: 1,
  run: 2,
  runMany: 3,
  /** Some of the rows of a `runMany`, which follows with the last ones, or a rollback. */
  runPart: 4,
} as const

/** One of the values of {@link op}. */
export type Op = (typeof op)[keyof typeof op]

/** The kinds of a value in a parameter area and in a result. */
export const tag = {
  integer: 1,
  real: 2,
  /** In a result: a text in ASCII. */
  text: 3,
  blob: 4,
  null: 5,
  bigint: 6,
  /** In a result: any other text. */
  wide: 7,
  /** In a result: a text in ASCII that is to be remembered, ... */
  newText: 8,
  /** ... or any other. They are numbered together, from 0 on. */
  newWide: 9,
  /** In a result: the remembered text of that number. */
  again: 10,
} as const

/** The result of {@link Core.again}. */
export const repeatStatus = {
  done: 0,
  /** See {@link Core.failure}. */
  failed: 1,
  /** Another call holds the mutex. */
  busy: 2,
  /** There is no such statement any more. */
  unknown: 3,
} as const

/** What ends a call: after `timeoutMs` milliseconds its statements are interrupted; `cancel` is an id of {@link Core.newCancel}. */
export interface CoreLimits {
  readonly timeoutMs?: number | undefined
  readonly cancel?: number | undefined
}

/** The wasm class. Every synchronous call needs a permit that holds the mutex. */
export interface Core {
  /** Sets the remote, before {@link Core.start}. When it rejects, the database is closed. */
  connect(remote: CoreRemoteOptions): Promise<void>
  /** Returns whether there is no data yet, so that a seed is used. */
  wantsSeed(): boolean
  /** Returns the stored id of the database, which a deleted one of the same name doesn't share. */
  databaseId(): string
  /** Fills a database without data, before `start`. */
  seed(bytes: Uint8Array): Promise<void>
  /** Runs the pending migrations and admits calls. When it rejects, the database is closed. */
  start(): Promise<void>

  // The mutex of the connection, first come, first served. A transaction holds it from begin to end.

  /** Returns a permit that holds the mutex, or 0 when another call holds it or waits for it. */
  tryAcquire(): number
  /** Returns a permit at the end of the queue. */
  queue(): number
  /** Resolves when the permit holds the mutex. */
  waitForPermit(permit: number): Promise<void>
  /** Unlocks the mutex, or leaves the queue. */
  release(permit: number): void

  // Statements.

  /** Returns the address of a parameter area of at least that many bytes (8-aligned, reused; may grow the memory). */
  reserve(bytes: number): number
  /** Runs one statement over the `bytes` of parameters written to the reserved area; `timeoutMs` 0 is none. */
  execute(permit: number, op: Op, sql: string, bytes: number, names: string, timeoutMs: number): void
  /**
   * Runs a statement again by the number that is in the header of its result, with parameters of the same names. Returns one of
   * {@link repeatStatus}. Permit 0 locks the mutex for this call, if it is free.
   */
  again(permit: number, op: Op, statement: number, bytes: number): number
  /** Returns the error of the last {@link Core.again}: what {@link Core.execute} would have thrown. */
  failure(): unknown
  /** Returns the address of the header of the last result, which stays the same for the instance's life. */
  header(): number
  /** Returns the column names of a shape. */
  columns(shape: number): string[]
  /** BEGIN, or a SAVEPOINT inside a transaction. Returns the depth (1, 2, ...). */
  begin(permit: number, immediate: boolean): number
  /** COMMIT or RELEASE of that depth; true when the database was written. */
  commit(permit: number, depth: number): boolean
  /** ROLLBACK, or ROLLBACK TO and RELEASE, of that depth. */
  rollback(permit: number, depth: number): void
  /** Runs a script, the first bytes of the parameter area; true when the database was written. */
  script(permit: number, bytes: number, timeoutMs: number): boolean
  explain(permit: number, sql: string): PlanRow[]
  /** Resolves when what was committed up to now is stored; undefined when there is nothing to wait for. */
  stored(): Promise<void> | undefined

  /** Loads FTS5 for a statement that failed because it is missing. */
  loadFts5(): Promise<void>

  // Live queries.

  watch(sql: string, bytes: number, names: string): number
  /**
   * How a window of the result of a live query differs from the one that was read last, the `reads`th, with that many rows: the number of all rows of the result,
   * the number of removed rows, their positions, and the positions of the inserted rows, which are the result in memory. Undefined: run the
   * query.
   */
  difference(
    permit: number,
    id: number,
    reads: number,
    rows: number,
    offset: number,
    limit: number | undefined,
    timeoutMs: number,
  ): Uint32Array | undefined
  unwatch(id: number): void
  /** From now on every commit emits a `change` event. */
  emitChanges(): void

  // What waits, or may come to wait. Options and results are plain objects, as the contract has them.

  migrationsStatus(): Promise<MigrationStatus[]>
  migrationsRun(options: unknown): Promise<MigrationReport>
  migrationsRevert(options: unknown): Promise<MigrationReport>
  migrationsBaseline(version: string, limits: CoreLimits): Promise<PlannedMigration[]>
  migrationsRedo(limits: CoreLimits): Promise<MigrationReport>
  migrationsForget(version: string, limits: CoreLimits): Promise<void>
  migrationsReset(limits: CoreLimits): Promise<MigrationReport>
  migrationsDrop(limits: CoreLimits): Promise<void>
  /** `made`: a database file in which the app has run the applied migrations; without it the engine runs their scripts. */
  migrationsDrift(made: Uint8Array | undefined, limits: CoreLimits): Promise<Drift>
  /** `renames` alternates old and new names. */
  migrationsGenerate(sql: string, renames: readonly string[], limits: CoreLimits): Promise<GeneratedMigration>
  migrationsSync(sql: string, limits: CoreLimits): Promise<SchemaScript>
  migrationsLint(): Promise<LintFinding[]>
  snapshotsCreate(options: unknown): Promise<SnapshotInfo>
  snapshotsList(): Promise<SnapshotInfo[]>
  snapshotsVerify(id: string): Promise<SnapshotVerification>
  snapshotsRestore(id: string, options: unknown): Promise<void>
  snapshotsRestoreAt(at: number, options: unknown): Promise<void>
  /** What can be restored, with at most `limit` of the newest states. */
  snapshotsHistory(limit: number): Promise<SnapshotHistory>
  snapshotsDelete(id: string): Promise<void>
  snapshotsPrune(): Promise<void>
  snapshotsStatus(): Promise<SnapshotHealth>
  syncPull(options: unknown, progress: ((step: PullProgress) => void) | undefined, cancel: number): Promise<PullReport>
  syncPush(progress: ((step: PullProgress) => void) | undefined, cancel: number): Promise<PushReport>
  /**
   * Starts automatic sync. An engine in another thread or tab ignores a call that `isRepeated` when it knows a later one; `order`: see
   * {@link SyncCall}.
   */
  syncStart(intervalMs: number, order: number, isRepeated: boolean): void
  /** Stops automatic sync; the arguments are those of {@link Core.syncStart}. */
  syncStop(order: number, isRepeated: boolean): void
  /** Handles that a user has signed in or out: running calls end. */
  syncUser(signedIn: boolean): void
  /** Returns whether each pulled table has been pulled once. */
  syncReady(): Promise<boolean>
  syncRetry(id: string, limits: CoreLimits): Promise<void>
  syncDiscard(id: string, limits: CoreLimits): Promise<void>
  syncEnqueue(table: string, limits: CoreLimits): Promise<number>
  syncConflicts(limit: number): Promise<ConflictEntry[]>
  syncPending(): Promise<OutboxEntry[]>
  syncRejected(): Promise<OutboxEntry[]>
  syncStatus(): Promise<SyncStatus[]>
  /** Returns an id to pass to calls that can be cancelled. */
  newCancel(): number
  /** Cancels the call with that id. */
  cancel(id: number): void
  dropCancel(id: number): void
  /** Encrypts with another passphrase or key; null removes the encryption. */
  rekey(encryption: Encryption | null, cancel: number): Promise<void>
  /** Encrypts everything with a new data key. */
  rotateKey(cancel: number): Promise<void>
  exportBytes(): Bytes
  persist(): Promise<boolean>
  exportSql(): Promise<Bytes[]>
  importBytes(bytes: Uint8Array, options: unknown, cancel: number): Promise<void>
  snapshotsExport(id: string, sql: boolean): Promise<CoreSnapshotFile>
  /** The state at a time as a file: pieces, to be joined. `options`: `{ sql?, lsn? }`. */
  snapshotsExportAt(at: number, options: unknown): Promise<Bytes[]>
  snapshotsImport(bytes: Uint8Array, label: string | undefined, cancel: number): Promise<SnapshotInfo>
  health(thresholds: object): Promise<Health>
  /** Sets the audited tables, before {@link Core.start}. When it rejects, the database is closed. */
  audit(options: CoreAudit): Promise<void>
  /** Sets the author that the audit log names from now on. The caller holds the mutex. */
  setActor(actor: string | undefined): Promise<void>
  /**
   * Notes a write of another tab with its answer in the open transaction, unless that has written nothing. `keep`: the tabs that may still
   * ask for answers, as JSON; undefined: nothing is known about the others.
   */
  noteApplied(
    permit: number,
    client: string,
    id: number,
    acknowledged: number,
    keep: string | undefined,
    reply: Uint8Array,
  ): void
  /** Returns the reply of a noted write; undefined when it isn't in the database. The caller holds the mutex. */
  applied(permit: number, client: string, id: number): Uint8Array | undefined
  /** Returns whether a script runs in one transaction. */
  isWhole(script: string): boolean
  maintain(expires: readonly CoreExpiry[], cancel: number): Promise<MaintenanceReport>
  flush(): Promise<void>
  /** Handles that the browser has removed the files. Returns the error of all later calls; undefined where it is known, or after `close`. */
  loseFiles(): unknown
  close(): Promise<void>
  free(): void
}

/** An SQL function or collation, as {@link CoreClass.addFunctions} takes it; `kind`: scalar, aggregate, window, collation. */
export interface CoreFunction {
  readonly name: string
  readonly kind: 0 | 1 | 2 | 3
  readonly deterministic: boolean
  readonly directOnly: boolean
}

/** What calls the user's functions, by their place in the list. */
export interface CoreFunctions {
  /** Returns null, a finite number, a bigint of 64 bits, a string or a Uint8Array. */
  call(which: number, phase: number, state: number, values: unknown[]): unknown
  compare(which: number, one: string, other: string): number
}

/** The static side of the wasm class. */
export interface CoreClass {
  /** Adds SQL functions to every connection of this instance. Call it before `open`. */
  addFunctions(
    definitions: readonly CoreFunction[],
    functions: CoreFunctions,
    integers: CoreOptions['integers'],
  ): Promise<void>
  /**
   * Adds the SQL functions encrypt and decrypt to every connection of this instance. Keys of 32 bytes: the first one encrypts, each
   * decrypts. Call it before `open`, and after the part `cipher` is loaded.
   */
  addColumnKeys(keys: readonly Uint8Array[]): Promise<void>
  /** Checks the remote of a database that is to be opened. Throws `invalid_argument`. */
  checkRemote(remote: CoreRemoteOptions): Promise<void>
  /** Requests the tables of a remote, without opening a database: those in `remote.tables`, or all. */
  schemaFromRemote(remote: CoreRemoteOptions, host: Host): Promise<LocalSchema>
  open(options: Omit<CoreOptions, 'remote'>, host: Host): Promise<Core>
  /** The same over the files of a folder. */
  openFolder(options: Omit<CoreOptions, 'remote'>, host: Host, folder: CoreFolder): Promise<Core>
  /** Sets a stored database, which isn't opened, to its last good state or to a snapshot. */
  recover(options: CoreOptions, from: string | undefined, host: Host): Promise<RecoveryReport>
  /** The same over the files of a folder. */
  recoverFolder(options: CoreOptions, from: string | undefined, host: Host, folder: CoreFolder): Promise<RecoveryReport>
  /** Describes the database in a folder, which isn't opened. */
  storedInFolder(host: Host, files: CoreFiles): Promise<StoredDatabase>
  /** Serves the database of a folder to an instance in another thread: each call takes a request and resolves with the reply. */
  serveFolder(files: CoreFiles): Promise<(request: Uint8Array) => Promise<Bytes>>
  /** Removes the files of a database from its folder. Rejects with `database_in_use`. */
  deleteFolder(options: CoreOptions, host: Host, files: NodeFiles): Promise<void>
  /**
   * Moves a database, which isn't opened, from IndexedDB to these files, or with `back` from there to IndexedDB. What is left of it is for
   * the caller to remove.
   */
  moveStorage(name: string, back: boolean, host: Host, files: CoreFiles): Promise<void>
}

/** What {@link CoreClass.openFolder} needs: the files of one folder, or the worker that has them. */
export type CoreFolder = CoreFiles | CoreStorageWorker

/** A worker that has the files of one folder, where this thread can't. */
export interface CoreStorageWorker extends Pick<CoreFiles, 'look' | 'shown' | 'abandon'> {
  readonly isPrivate: true
  /** Starts the worker, unless it runs. */
  prepare(): Promise<void>
  /** Sends the request, which lies in the wasm memory, before it returns, and resolves with the reply of {@link CoreClass.serveFolder}. */
  ask(request: Uint8Array): Promise<Uint8Array>
  /** Ends the worker. */
  close(): void
}

/** The files of one folder, by plain names. What fails throws. */
export interface CoreFiles {
  /** Whether they are in the browser's private file system; otherwise they are {@link NodeFiles}. */
  readonly isPrivate: boolean
  /**
   * Makes those of these files that don't exist, empty, and the folder; their names survive a power cut. Without names it connects again,
   * where a connection can break.
   */
  prepare(names: string[]): Promise<void> | void
  /** The names in the folder; none where there is no such folder. */
  list(): string[]
  /** Bytes of a file; undefined where there is none. */
  size(name: string): number | undefined
  /** Reads bytes from `at` on into the wasm memory; returns how many, which are fewer at the end of the file only. */
  read(name: string, at: number, into: Uint8Array): number
  /** Writes all the bytes, which lie in the wasm memory. */
  write(name: string, at: number, bytes: Uint8Array): void
  truncate(name: string, bytes: number): void
  sync(name: string): void
  remove(name: string): void
  /** What a long series of reads waits for now and then: the thread's other tasks. */
  turn(): Promise<void> | undefined
  /** Stores what can be shown of the database without opening it, where that needs a file of its own. */
  describe(info: object): void
  /** What was described last, of a private folder. */
  shown(): Promise<object | undefined>
  /** Resolves with whether the open files of a private folder are still there, which no other call finds out at once. */
  look?(): Promise<boolean>
  /** Closes the files that are kept open between calls. */
  close(): void
  /** Lets others use the files after the instance trapped. */
  abandon(): void
}

/** The files of a folder on a disk, and the processes that exclude each other there by lock files. */
export interface NodeFiles extends CoreFiles {
  /** Makes a file with this content, and the folder. Returns false when the name is taken. On a disk without hard links it is empty meanwhile. */
  create(name: string, bytes: Uint8Array): boolean
  readonly pid: number
  /** The number under which the system lists this thread, which may end before its process; the process id where threads aren't listed. */
  readonly thread: number
  readonly host: string
  /** When a process or thread of this machine began, '' when that isn't known; undefined when there is none of that number. */
  began(id: number): string | undefined
}

/** A snapshot as a file. */
export interface CoreSnapshotFile {
  readonly snapshot: SnapshotInfo
  readonly pieces: readonly Bytes[]
}

/** An event of the wasm module, or of the package. All but `live` and `syncCall` are shown to the user. */
export type CoreEvent =
  | EngineEvent
  | { readonly type: 'warning'; readonly detail: Warning }
  | { readonly type: 'request'; readonly detail: RequestEvent }
  | { readonly type: 'syncCall'; readonly detail: SyncCall }

/** What the wasm module calls back, always on the thread that called `open`. */
export interface Host {
  emit(event: CoreEvent): void
  /** Called when the Web Lock is held. `release` releases it when the instance traps. */
  locked(release: () => void): void
  /** Rejects when the browser's private file system has the database. Called before it is made in IndexedDB, under its lock. */
  requireHere(): Promise<void>
  /** Runs a migration that is a function, on that permit; where it is one transaction, that has begun. */
  migrate(version: string, direction: 'up' | 'down', permit: number): Promise<void>
  /** Loads a part of the wasm. */
  loadPart(part: Part): Promise<void>
  /** Calls SQLite's initialisation of FTS5 for the connection at that address. */
  addFts5(connection: number): void
  fetch(url: string, asking: HttpRequest): Promise<HttpResponse>
  accessToken(): Promise<string | null>
  nextSnapshot(after: number): Promise<number | null>
  /** The filters that the user's function gives for a table: columns and their filters in turn, as JSON text. */
  remoteFilter(table: string): Promise<string>
  /** The decision of the user's function about a conflict: the row as JSON text, blobs as `{"b":"hex"}`; null to delete it. */
  resolveConflict(conflict: Conflict): Promise<string | null>
  /** What the database is encrypted with. */
  readonly encryption?: Encryption
  /** Aborted when the user cancels opening. */
  readonly signal?: AbortSignal
}
