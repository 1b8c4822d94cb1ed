import { checkBoolean, checkCall, checkInteger, checkOneOf, checkString } from './check.js'
import { type Connection, withCancel } from './connection.js'
import { unavailable } from './errors.js'
import type { Tx } from './transaction.js'
import type { CallOptions } from './values.js'

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
}

/** One migration that ran. */
export interface RanMigration {
  readonly version: string
  readonly name: string
  readonly executionMs: number
}

/** What `run` and `revert` planned and did. With `dryRun` nothing was applied or reverted. */
export interface MigrationReport {
  readonly planned: readonly PlannedMigration[]
  readonly applied: readonly RanMigration[]
  readonly reverted: readonly RanMigration[]
}

/** Options of {@link Migrations.run} and {@link Migrations.revert}. */
export interface MigrationRunOptions extends CallOptions {
  /** The last version to apply, or the version to go back to. */
  readonly to?: string | undefined
  /** How many; for `revert` 1 unless `to` is given, for `run` all. */
  readonly steps?: number | undefined
  /** Changes nothing and says what would be done. */
  readonly dryRun?: boolean | undefined
  /** `all` is not available in this build. */
  readonly atomic?: 'each' | 'all' | undefined
}

/** The schema's history: `db.migrations`. */
export class Migrations {
  readonly #calls: Connection

  /** @internal */
  constructor(calls: Connection) {
    this.#calls = calls
  }

  /** One row a version, supplied or applied, in order. */
  async status(options?: CallOptions): Promise<MigrationStatus[]> {
    checkCall('migrations.status', options)
    return this.#calls.read(options, (core) => core.migrationsStatus())
  }

  /**
   * Applies the pending migrations in order, each in one transaction with its tracking row. A snapshot is taken first when there is data.
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

  /** Not available in this build: rejects with `unsupported_environment`. */
  async redo(_options?: CallOptions): Promise<MigrationReport> {
    throw unavailable('migrations.redo')
  }

  /** Not available in this build: rejects with `unsupported_environment`. */
  async reset(_options: { readonly force: true }): Promise<MigrationReport> {
    throw unavailable('migrations.reset')
  }

  /** Not available in this build: rejects with `unsupported_environment`. */
  async forget(_version: string): Promise<void> {
    throw unavailable('migrations.forget')
  }

  /** Not available in this build: rejects with `unsupported_environment`. */
  async drift(): Promise<{ added: unknown[]; removed: unknown[]; changed: unknown[] }> {
    throw unavailable('migrations.drift')
  }

  /** Not available in this build: rejects with `unsupported_environment`. */
  async generate(_schemaSql: string): Promise<{ up: string; down: string }> {
    throw unavailable('migrations.generate')
  }

  /** Not available in this build: rejects with `unsupported_environment`. */
  async lint(): Promise<{ code: string; version: string; line: number; message: string }[]> {
    throw unavailable('migrations.lint')
  }

  /** Not available in this build: rejects with `unsupported_environment`. */
  async sync(_schemaSql: string): Promise<void> {
    throw unavailable('migrations.sync')
  }

  /** Not available in this build: rejects with `unsupported_environment`. */
  async drop(_options: { readonly force: true }): Promise<void> {
    throw unavailable('migrations.drop')
  }
}

function checkRun(
  call: string,
  options: unknown,
  keys: readonly string[],
): { to?: string; steps?: number; dryRun?: boolean } {
  const { to, steps, dryRun, atomic } = checkCall(call, options, ['to', 'steps', 'dryRun', ...keys])
  if (atomic !== undefined && checkOneOf('atomic', atomic, ['each', 'all']) === 'all') throw unavailable("atomic 'all'")
  return {
    ...(to === undefined ? {} : { to: checkString('to', to) }),
    ...(steps === undefined ? {} : { steps: checkInteger('steps', steps, 0) }),
    ...(dryRun === undefined ? {} : { dryRun: checkBoolean('dryRun', dryRun) }),
  }
}
