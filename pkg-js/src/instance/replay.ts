import type { Database } from '../api/database.js'
import { errorWith, isTidelockError } from '../base/errors.js'
import type { MigrationStatus } from '../base/generated-types.js'
import type { CallOptions } from '../base/values.js'
import type { OpenOptions } from '../options/options.js'

/**
 * Runs the applied migrations of a history in an empty scratch database and returns its file. Returns undefined when none of them is a
 * function, or when the history differs from the supplied migrations: the engine replays scripts by itself, and reports a wrong history.
 *
 * Rejects with `migration_failed` (`details.scratch`), with `timeout`, and as `open` does.
 */
export async function replay(
  open: (options: OpenOptions) => Promise<Database>,
  options: OpenOptions,
  history: readonly MigrationStatus[],
  limits: CallOptions,
): Promise<Uint8Array | undefined> {
  const ran = history.filter(({ appliedAt }) => appliedAt !== null)
  const states = new Map(ran.map(({ version, state }) => [version, state]))
  const migrations = options.migrations?.filter(({ version }) => states.get(version) === 'applied') ?? []
  if (migrations.length < ran.length || !migrations.some(({ up }) => typeof up === 'function')) return undefined
  const { name, migrationsTable, functions, columnKey, integers, maxBytes, thread, worker, wasm, onWarning } = options
  const same = { name, migrationsTable, functions, columnKey, integers, maxBytes, thread, worker, wasm, onWarning }
  let scratch: Database | undefined
  try {
    const { signal } = limits
    scratch = await open({ ...same, migrations, migrate: false, storage: 'memory', snapshots: false, signal })
    await scratch.migrations.run(limits)
    return await scratch.export()
  } catch (error) {
    if (!isTidelockError(error, 'migration_failed')) throw error
    throw errorWith(error, {
      message: `In a scratch database: ${error.message}`,
      details: { scratch: true },
      hint: "There it finds none of this database's data. The database itself is as before",
    })
  } finally {
    await scratch?.close()
  }
}
