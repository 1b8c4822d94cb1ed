import { checkBoolean, checkCall, checkInteger, checkOneOf, checkString, optional } from '../base/check.js'
import { invalid } from '../base/errors.js'
import type { CallOptions } from '../base/values.js'
import { type Connection, withCancel } from '../engine/connection.js'
import type { Tx } from './transaction.js'

/** One step in the schema's history. */
export interface Migration {
  /** Orders the migrations: its runs of digits are compared as numbers. */
  readonly version: string
  readonly name: string
  /** SQL, or a function that works with the transaction of the migration. */
  readonly up: string | ((tx: Tx) => Promise<void>)
  /** The way back. */
  readonly down?: string | ((tx: Tx) => Promise<void>) | undefined
  /** @default the SHA-256 of `up` with line ends made `\n`, in hex */
  readonly checksum?: string | undefined
  /**
   * Whether it runs in a transaction; `false` is for statements that can't, as VACUUM.
   * @default true
   */
  readonly transaction?: boolean | undefined
}

/** Where one version stands. */
export interface MigrationStatus {
  readonly version: string
  readonly name: string
  readonly state: 'applied' | 'pending' | 'modified' | 'missing' | 'out_of_order'
  readonly checksum: string
  readonly appliedAt: string | null
  readonly executionMs: number | null
  readonly reversible: boolean
}

/** One migration that is to run. */
export interface PlannedMigration {
  readonly version: string
  readonly name: string
  readonly direction: 'up' | 'down'
  /** Of a dry run: the script that would run; null for a function. */
  readonly sql?: string | null
}

/** One migration that ran. */
export interface MigrationResult {
  readonly version: string
  readonly name: string
  readonly executionMs: number
}

/** What `run` and `revert` planned and did. With `dryRun` nothing was applied or reverted. */
export interface MigrationReport {
  readonly planned: readonly PlannedMigration[]
  readonly applied: readonly MigrationResult[]
  readonly reverted: readonly MigrationResult[]
}

/** Options of {@link Migrations.run} and {@link Migrations.revert}. */
export interface MigrationRunOptions extends CallOptions {
  /** The last version to apply, or the version to go back to. */
  readonly to?: string | undefined
  /** How many; for `revert` 1 unless `to` is given, for `run` all. */
  readonly steps?: number | undefined
  /** Changes nothing and says what would be done. */
  readonly dryRun?: boolean | undefined
  /**
   * What a failure undoes: that migration, or `all` of the run, which is one transaction then. Of `run` only.
   * @default 'each'
   */
  readonly atomic?: 'each' | 'all' | undefined
}

/** One difference between the schema and what the migrations give. */
export interface DriftEntry {
  readonly kind: 'table' | 'column' | 'index' | 'trigger' | 'view'
  readonly name: string
  /** The table of a column, an index or a trigger. */
  readonly table?: string
  /**
   * What the migrations give, of what is removed or changed: type and constraints of a column; constraints and options of a table that
   * changed; else the statement.
   */
  readonly expected?: string
  /** What is there, of what is added or changed. */
  readonly actual?: string
}

/** What {@link Migrations.drift} found. The columns of a table that is added or removed aren't listed. */
export interface Drift {
  /** There, though no migration made it. */
  readonly added: readonly DriftEntry[]
  /** Not there, though a migration made it. */
  readonly removed: readonly DriftEntry[]
  readonly changed: readonly DriftEntry[]
}

/** The scripts of {@link Migrations.generate}. */
export interface GeneratedMigration {
  /** Empty when the schemas don't differ. */
  readonly up: string
  readonly down: string
  /** What `up` loses, in words; each is a comment in the script, too. */
  readonly destructive: readonly string[]
}

/** Options of {@link Migrations.generate}. */
export interface GenerateOptions extends CallOptions {
  /**
   * What isn't dropped and made anew, but has another name: `{ 'users.mail': 'users.email', old_table: 'new_table' }`. In a table that is
   * renamed as well the old table goes with the old column, and the new one with the new.
   */
  readonly renames?: Readonly<Record<string, string>> | undefined
}

/** One remark of {@link Migrations.lint}. */
export interface LintFinding {
  readonly code:
    | 'drop_table'
    | 'drop_column'
    | 'delete_without_where'
    | 'not_null_without_default'
    | 'no_down'
    | 'pragma_without_effect'
    | 'pragma_refused'
    | 'own_transaction'
  readonly version: string
  /** In `up`, from 1. */
  readonly line: number
  readonly message: string
}

/** Options of what drops everything. */
export interface ForceOptions extends CallOptions {
  readonly force: true
}

/**
 * Runs the applied migrations of a history in an empty database, where one of them is a function, and gives its file; undefined where the
 * engine can do that by itself.
 */
export type Replay = (
  history: readonly MigrationStatus[],
  signal: AbortSignal | undefined,
) => Promise<Uint8Array | undefined>

/** The schema's history: `db.migrations`. */
export class Migrations {
  readonly #calls: Connection
  #replay: Replay | undefined

  /** @internal */
  constructor(calls: Connection) {
    this.#calls = calls
  }

  /** @internal Who runs migrations that are functions in scratch databases. */
  replayBy(replay: Replay): void {
    this.#replay = replay
  }

  /** One row a version, supplied or applied, in order. */
  async status(options?: CallOptions): Promise<MigrationStatus[]> {
    checkCall('migrations.status', options)
    return this.#calls.read(options, (core) => core.migrationsStatus())
  }

  /**
   * Applies the pending migrations in order, each in one transaction with its tracking row, or with `atomic: 'all'` all in one. A
   * snapshot is taken first when there is data.
   * Rejects with `migration_failed` (nothing of that migration is left), and with what an `open` over this history rejects with.
   */
  async run(options?: MigrationRunOptions): Promise<MigrationReport> {
    const checked = checkRun('migrations.run', options, ['atomic'])
    return this.#calls.cancellable(options, (core, cancel) => core.migrationsRun(withCancel(checked, cancel)))
  }

  /** Runs `down` of the newest ones. Rejects with `migration_irreversible`, before anything runs, when there is none. */
  async revert(options?: Omit<MigrationRunOptions, 'atomic'>): Promise<MigrationReport> {
    const checked = checkRun('migrations.revert', options, [])
    return this.#calls.cancellable(options, (core, cancel) => core.migrationsRevert(withCancel(checked, cancel)))
  }

  /** Marks as applied, without running them, all up to that version: for tables that were already there. */
  async baseline(version: string, options?: CallOptions): Promise<void> {
    checkString('The version', version)
    checkCall('migrations.baseline', options)
    await this.#calls.cancellable(options, (core) => core.migrationsBaseline(version))
  }

  /**
   * Reverts the newest applied migration and applies it again; when that fails, it stays reverted. Rejects with
   * `migration_irreversible` without a `down`.
   */
  async redo(options?: CallOptions): Promise<MigrationReport> {
    checkCall('migrations.redo', options)
    return this.#calls.cancellable(options, (core) => core.migrationsRedo())
  }

  /**
   * Drops everything, what sync keeps included, and runs all migrations again. A snapshot is taken first. When a migration fails,
   * everything becomes again what it was.
   */
  async reset(options: ForceOptions): Promise<MigrationReport> {
    checkForce('migrations.reset', options)
    return this.#calls.cancellable(options, (core) => core.migrationsReset())
  }

  /** Removes a version from the tracking table, so that a mended one runs again. Nothing else changes. */
  async forget(version: string, options?: CallOptions): Promise<void> {
    checkString('The version', version)
    checkCall('migrations.forget', options)
    await this.#calls.cancellable(options, (core) => core.migrationsForget(version))
  }

  /**
   * How the schema differs from what the applied migrations give in a scratch database: tables, columns, indexes, triggers and views.
   * The order of columns and constraints doesn't count, nor do quotes, case, comments and white space; tidelock's own tables are
   * left out. Those that are functions run there, too, with a `tx` of that database, which has none of the data.
   *
   * Rejects as {@link Migrations.run} does when what is applied isn't what is supplied, and with `migration_failed` (`details.scratch`)
   * when one doesn't run there.
   */
  async drift(options?: CallOptions): Promise<Drift> {
    checkCall('migrations.drift', options)
    const history = await this.status(options)
    const replaying = this.#replay?.(history, options?.signal) ?? Promise.resolve(undefined)
    const made = await this.#calls.orStopped(replaying, options)
    return this.#calls.read(options, (core) => core.migrationsDrift(made))
  }

  /**
   * The scripts from today's schema to the one that `schemaSql` makes of an empty database, and back: ALTER TABLE where it can, else the
   * table is rebuilt. Rows of the columns that both have are kept; where a column takes no NULL, rows without a value get its default, else
   * `0` or an empty text. Nothing is run. Both are meant for a migration: foreign keys must be off when they run.
   *
   * Rejects with `sqlite_error` (`details.line`) for a schema that SQLite doesn't take, `invalid_argument` for renames that don't fit.
   */
  async generate(schemaSql: string, options?: GenerateOptions): Promise<GeneratedMigration> {
    checkSql(schemaSql)
    const renames = checkRenames(checkCall('migrations.generate', options, ['renames']).renames)
    return this.#calls.read(options, (core) => core.migrationsGenerate(schemaSql, renames))
  }

  /**
   * What the supplied migrations may not have meant, read from their texts: what is lost, a column that is NOT NULL without a default,
   * pragmas that do nothing or are refused, transactions of their own, and a missing `down`.
   */
  async lint(options?: CallOptions): Promise<LintFinding[]> {
    checkCall('migrations.lint', options)
    return this.#calls.read(options, (core) => core.migrationsLint())
  }

  /**
   * For development: runs what {@link Migrations.generate} gives for that schema, in one transaction that the tracking table knows
   * nothing of. A snapshot is taken first when there is data. Gives the script that ran. Rejects with `migration_failed`.
   */
  async sync(schemaSql: string, options?: CallOptions): Promise<{ sql: string; destructive: readonly string[] }> {
    checkSql(schemaSql)
    checkCall('migrations.sync', options)
    return this.#calls.cancellable(options, (core) => core.migrationsSync(schemaSql))
  }

  /** For development: drops everything, and runs nothing. A snapshot is taken first. */
  async drop(options: ForceOptions): Promise<void> {
    checkForce('migrations.drop', options)
    await this.#calls.cancellable(options, (core) => core.migrationsDrop())
  }
}

function checkForce(call: string, options: unknown): void {
  if (checkCall(call, options, ['force']).force === true) return
  throw invalid(`${call} drops everything: it must be called with { force: true }`, {
    details: { option: 'force' },
    hint: 'A snapshot is taken first',
  })
}

/** An empty schema is one, too. */
function checkSql(schemaSql: unknown): void {
  if (typeof schemaSql !== 'string') throw invalid('The schema must be SQL text', { details: { option: 'schemaSql' } })
}

/** Old and new names by turns, as the wasm module takes them. */
function checkRenames(renames: unknown): string[] {
  if (renames === undefined) return []
  if (typeof renames !== 'object' || renames === null || Array.isArray(renames))
    throw invalid('renames must be an object of new names by old ones', { details: { option: 'renames' } })
  return Object.entries(renames).flatMap(([from, to]: [string, unknown]) => [
    from,
    checkString(`renames['${from}']`, to),
  ])
}

function checkRun(call: string, options: unknown, keys: readonly string[]) {
  const { to, steps, dryRun, atomic, timeoutMs } = checkCall(call, options, ['to', 'steps', 'dryRun', ...keys])
  return {
    timeoutMs,
    to: optional('to', to, checkString),
    steps: optional('steps', steps, (what, value) => checkInteger(what, value, 0)),
    dryRun: optional('dryRun', dryRun, checkBoolean),
    atomic: optional('atomic', atomic, (what, value) => checkOneOf(what, value, ['each', 'all'] as const)),
  }
}
