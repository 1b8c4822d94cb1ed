import { checkBoolean, checkCall, checkInteger, checkOneOf, checkString, optional, reading } from '../base/check.js'
import { invalid, isTidelockError } from '../base/errors.js'
import type {
  Drift,
  GeneratedMigration,
  LintFinding,
  MigrationReport,
  MigrationStatus,
  SchemaScript,
} from '../base/generated-types.js'
import type { CallOptions } from '../base/values.js'
import { deadlineOf, timedOut, untilDeadline } from '../base/waiting.js'
import type { Connection } from '../engine/connection.js'
import type { Core, CoreLimits } from '../engine/core.js'
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
  /**
   * Compared with that of the applied one, so that an edit is noticed; an edited function only by a checksum of yours.
   * @default the SHA-256 of `up` with line ends made `\n`, in hex
   */
  readonly checksum?: string | undefined
  /**
   * Whether it runs in a transaction; `false` is for statements that can't, as VACUUM.
   * @default true
   */
  readonly transaction?: boolean | undefined
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

/** Options of {@link Migrations.generate}. */
export interface GenerateOptions extends CallOptions {
  /**
   * What is renamed instead of dropped and created again: `{ 'users.mail': 'users.email', old_table: 'new_table' }`. In a table that is
   * renamed as well the old table goes with the old column, and the new one with the new.
   */
  readonly renames?: Readonly<Record<string, string>> | undefined
}

/** Options of calls that drop all data. */
export interface ForceOptions extends CallOptions {
  /** Confirms that all data is dropped. */
  readonly force: true
}

/**
 * Runs the applied migrations of a history in an empty database when one of them is a function, and returns its file; returns undefined when
 * none is: then the engine runs them.
 */
export type ReplayHistory = (
  history: readonly MigrationStatus[],
  limits: CallOptions,
) => Promise<Uint8Array | undefined>

/** The migrations of the schema: `db.migrations`. */
export class Migrations {
  readonly #connection: Connection
  #replay: ReplayHistory | undefined

  /** @internal */
  constructor(connection: Connection) {
    this.#connection = connection
  }

  /** Marks it as no plain object, see {@link LiveQuery}. */
  get [Symbol.toStringTag](): string {
    return 'Migrations'
  }

  /** @internal Sets the function that runs migrations in scratch databases. */
  replayBy(replay: ReplayHistory): void {
    this.#replay = replay
  }

  /** Returns one row for each version, supplied or applied, in order. */
  async status(options?: CallOptions): Promise<MigrationStatus[]> {
    checkCall('migrations.status', options)
    this.#connection.checkOutside()
    return this.#connection.read(options, (core) => core.migrationsStatus())
  }

  /**
   * Applies the pending migrations in order, each in one transaction with its tracking row, or with `atomic: 'all'` all in one
   * transaction. A snapshot is taken first when there is data. Rejects with `migration_failed` (nothing of that migration stays), and with
   * the migration errors of {@link open}.
   */
  async run(options?: MigrationRunOptions): Promise<MigrationReport> {
    const checked = checkRun('migrations.run', options, ['atomic'])
    return this.#change(options, (core, limits) => core.migrationsRun({ ...checked, ...limits }))
  }

  /** Runs `down` of the newest applied migrations. Rejects with `migration_irreversible`, before anything runs, when one has no `down`. */
  async revert(options?: Omit<MigrationRunOptions, 'atomic'>): Promise<MigrationReport> {
    const checked = checkRun('migrations.revert', options, [])
    return this.#change(options, (core, limits) => core.migrationsRevert({ ...checked, ...limits }))
  }

  /** Marks all migrations up to `version` as applied without running them: for a database whose tables exist already. */
  async baseline(version: string, options?: CallOptions): Promise<void> {
    checkString('The version', version)
    checkCall('migrations.baseline', options)
    await this.#change(options, (core, limits) => core.migrationsBaseline(version, limits))
  }

  /**
   * Reverts the newest applied migration and applies it again; when applying fails or ends early, it stays reverted. Rejects with
   * `migration_irreversible` when it has no `down`.
   */
  async redo(options?: CallOptions): Promise<MigrationReport> {
    checkCall('migrations.redo', options)
    return this.#change(options, (core, limits) => core.migrationsRedo(limits))
  }

  /**
   * Drops everything, including the state of the sync, and runs all migrations again. A snapshot is taken first. When a migration fails, the
   * old data stays.
   */
  async reset(options: ForceOptions): Promise<MigrationReport> {
    checkForce('migrations.reset', options)
    return this.#change(options, (core, limits) => core.migrationsReset(limits))
  }

  /** Removes a version from the tracking table, so that a corrected migration runs again. Changes nothing else. */
  async forget(version: string, options?: CallOptions): Promise<void> {
    checkString('The version', version)
    checkCall('migrations.forget', options)
    await this.#change(options, (core, limits) => core.migrationsForget(version, limits))
  }

  /**
   * Compares the schema with the schema that the applied migrations make in a scratch database: tables, columns, indexes, triggers and
   * views. Ignores the order of columns and constraints, quotes, case, comments, white space and tidelock's own tables. Migrations that are
   * functions run with a `tx` of the scratch database, which contains no data.
   *
   * Rejects as {@link Migrations.run} does when the applied migrations differ from the supplied ones, and with `migration_failed`
   * (`details.scratch`) when one fails in the scratch database.
   */
  async drift(options?: CallOptions): Promise<Drift> {
    checkCall('migrations.drift', options)
    const { signal, timeoutMs } = options ?? {}
    const deadline = deadlineOf(options, undefined)
    const rest = () => ({ signal, timeoutMs: untilDeadline(deadline) || undefined })
    try {
      const history = await this.status(options)
      const replaying = this.#replay?.(history, rest()) ?? Promise.resolve(undefined)
      const made = await this.#connection.orStopped(replaying, rest())
      const limits = rest()
      return await this.#connection.read(limits, (core) => core.migrationsDrift(made, { timeoutMs: limits.timeoutMs }))
    } catch (error) {
      // The parts of the call name what was left of its time.
      throw timeoutMs !== undefined && isTidelockError(error, 'timeout') ? timedOut(timeoutMs) : error
    }
  }

  /**
   * Returns the scripts from the current schema to the one that `schemaSql` creates in an empty database, and back. They use ALTER TABLE
   * where possible, and otherwise rebuild the table. Values of common columns are kept; in a NOT NULL column, rows without a value get the
   * column's default, else `0` or an empty text. Nothing is run. Use the scripts in a migration: they need foreign keys off.
   *
   * Rejects with `sqlite_error` (`details.line`) for a schema that SQLite rejects, and `invalid_argument` for renames that don't match.
   */
  async generate(schemaSql: string, options?: GenerateOptions): Promise<GeneratedMigration> {
    checkSql(schemaSql)
    const renames = checkRenames(checkCall('migrations.generate', options, ['renames']).renames)
    this.#connection.checkOutside()
    const timeoutMs = options?.timeoutMs
    return this.#connection.read(options, (core) => core.migrationsGenerate(schemaSql, renames, { timeoutMs }))
  }

  /**
   * Finds likely mistakes in the texts of the supplied migrations: lost data, a NOT NULL column without a default, pragmas without effect or
   * not allowed, transactions of their own, and a missing `down`.
   */
  async lint(options?: CallOptions): Promise<LintFinding[]> {
    checkCall('migrations.lint', options)
    return this.#connection.read(options, (core) => core.migrationsLint())
  }

  /**
   * For development: runs the script of {@link Migrations.generate} for a schema, in one transaction without a tracking row. A snapshot is
   * taken first when there is data. Returns the script that ran. Rejects with `migration_failed`.
   */
  async sync(schemaSql: string, options?: CallOptions): Promise<SchemaScript> {
    checkSql(schemaSql)
    checkCall('migrations.sync', options)
    return this.#change(options, (core, limits) => core.migrationsSync(schemaSql, limits))
  }

  /** For development: drops everything and runs no migration. A snapshot is taken first. */
  async drop(options: ForceOptions): Promise<void> {
    checkForce('migrations.drop', options)
    await this.#change(options, (core, limits) => core.migrationsDrop(limits))
  }

  /** Makes a change that can be cancelled until its commit, and whose statements are interrupted after `timeoutMs`. */
  #change<T>(options: CallOptions | undefined, call: (core: Core, limits: CoreLimits) => Promise<T>): Promise<T> {
    return this.#connection.cancellable(options, (core, cancel) =>
      call(core, { timeoutMs: options?.timeoutMs, cancel }),
    )
  }
}

function checkForce(call: string, options: unknown): void {
  if (checkCall(call, options, ['force']).force === true) return
  throw invalid(`${call} drops everything: it must be called with { force: true }`, {
    details: { option: 'force' },
    hint: 'A snapshot is taken first',
  })
}

/** Checks SQL text; an empty schema is valid. */
function checkSql(schemaSql: unknown): void {
  if (typeof schemaSql !== 'string') throw invalid('The schema must be SQL text', { details: { option: 'schemaSql' } })
}

/** Checks renames. Returns old and new names alternately, the form that the wasm module takes. */
function checkRenames(renames: unknown): string[] {
  if (renames === undefined) return []
  if (typeof renames !== 'object' || renames === null || Array.isArray(renames))
    throw invalid('renames must be an object of new names by old ones', { details: { option: 'renames' } })
  return reading('renames', () => Object.entries(renames)).flatMap(([from, to]: [string, unknown]) => [
    from,
    checkString(`renames['${from}']`, to),
  ])
}

function checkRun(call: string, options: unknown, keys: readonly string[]) {
  const { to, steps, dryRun, atomic } = checkCall(call, options, ['to', 'steps', 'dryRun', ...keys])
  return {
    to: optional('to', to, checkString),
    steps: optional('steps', steps, (what, value) => checkInteger(what, value, 0)),
    dryRun: optional('dryRun', dryRun, checkBoolean),
    atomic: optional('atomic', atomic, (what, value) => checkOneOf(what, value, ['each', 'all'] as const)),
  }
}
