import type { Migration } from '../api/migrations.js'
import { checkOptionsOf, checkString, checkStrings } from '../base/check.js'
import { callUser } from '../base/events.js'
import { bridgeAlone } from '../instance/bridge-alone.js'
import { DatabaseClient } from '../instance/database-client.js'
import { checkOptions } from '../options/check-options.js'
import { lazyOptions } from '../options/load-lazy-options.js'
import type { OpenOptions, WasmSource } from '../options/options.js'
import type { RemoteOptions } from '../remote/remote-options.js'
import { openEnvironment } from './open.js'

/** Options of {@link schemaFromRemote}. */
export interface SchemaFromRemoteOptions
  extends Pick<
    RemoteOptions,
    | 'client'
    | 'url'
    | 'key'
    | 'accessToken'
    | 'schema'
    | 'fetch'
    | 'headers'
    | 'retries'
    | 'timeoutMs'
    | 'maxResponseBytes'
  > {
  /**
   * The remote tables to read.
   * @default all tables with a primary key that the remote shows for this key
   */
  readonly tables?: readonly string[] | undefined
  /**
   * The version of the migration.
   * @default '0001'
   */
  readonly version?: string | undefined
  /**
   * The name of the migration.
   * @default 'remote_schema'
   */
  readonly name?: string | undefined
  /** Where the wasm module comes from, as for `open`. */
  readonly wasm?: WasmSource | undefined
  /**
   * Called when tables are left out because they have no primary key.
   * @default `console.warn`
   */
  readonly onWarning?: OpenOptions['onWarning']
}

/** A migration whose `up` and `down` are texts. */
export interface SchemaMigration extends Migration {
  readonly up: string
  readonly down: string
}

/**
 * Returns a local migration for the tables of a remote: columns with types that keep every value exact, primary keys, NOT NULL, defaults
 * that SQLite supports, unique columns and references. Review it and keep it as a file: `open` rejects a migration that changes from one
 * opening to the next. Columns that only the remote fills are NULL locally until the remote has filled them.
 *
 * The tables are read from the function `tidelock_schema`, which {@link sqlHelpers} creates and a publishable key may call, or from
 * PostgREST's OpenAPI document, which Supabase shows to secret keys only; these are for Node.
 *
 * Rejects with `invalid_argument`, `sync_unauthorized` or `sync_schema_mismatch` when the remote doesn't show its tables, or one of
 * `tables`, to this key, or when one of `tables` has no primary key; and with `sync_network`, `sync_server`, `sync_protocol` or
 * `wasm_load_failed`.
 *
 * @example
 * ```ts
 * const migration = await schemaFromRemote({ url, key, tables: ['orders', 'order_lines'] })
 * await writeFile(`migrations/${migration.version}_${migration.name}.sql`, migration.up)
 * ```
 */
export async function schemaFromRemote(options: SchemaFromRemoteOptions): Promise<SchemaMigration> {
  const { tables, version, name, wasm, onWarning, ...remote } = checkOptionsOf(
    'schemaFromRemote',
    options,
    keys,
  ) as Partial<SchemaFromRemoteOptions>
  const wanted = tables === undefined ? [] : checkStrings('tables', tables)
  const migration = {
    version: checkString('version', version ?? '0001'),
    name: checkString('name', name ?? 'remote_schema'),
  }
  const environment = openEnvironment()
  const { checkRemote, resolveClient } = await lazyOptions()
  const { watchUser: _, ...endpoint } = resolveClient({ ...remote, tables: wanted })
  const checked = checkRemote(endpoint, environment.secrets)
  // No database is opened: the name is a placeholder.
  const opening: OpenOptions = { name: 'schema', storage: 'memory', wasm, onWarning, remote: endpoint }
  const user = new DatabaseClient(opening)
  const nothing = checkOptions({ name: 'schema', storage: 'memory' }, environment)
  const [bridge, instance] = await bridgeAlone(nothing, {}, user, wasm)
  const { up, down, leftOut } = await bridge.schemaFromRemote(instance, checked)
  if (leftOut.length > 0) {
    const all = `Tables without a primary key, or with the name of an internal table, are left out: ${leftOut.join(', ')}`
    // As the messages of errors are.
    const message = all.length > 2000 ? `${all.slice(0, 2000)}… (${leftOut.length} tables)` : all
    if (onWarning === undefined) console.warn(`tidelock: ${message}`)
    else callUser(onWarning, { code: 'table_without_key', message })
  }
  return { ...migration, up, down }
}

const keys = [
  'client',
  'url',
  'key',
  'accessToken',
  'schema',
  'fetch',
  'headers',
  'retries',
  'timeoutMs',
  'maxResponseBytes',
  'tables',
  'version',
  'name',
  'wasm',
  'onWarning',
]
