import type { Migration } from '../api/migrations.js'
import { checkObject, checkString, checkStrings } from '../base/check.js'
import { callUser } from '../base/events.js'
import { loaded } from '../base/lazy-module.js'
import { bridgeAlone } from '../instance/bridge-alone.js'
import { LocalUser } from '../instance/user.js'
import { checkOptions } from '../options/check-options.js'
import type { OpenOptions, WasmSource } from '../options/options.js'
import type { RemoteOptions } from '../remote/remote-options.js'
import { surroundings } from './open.js'

/** What {@link schemaFromRemote} is to ask, and how. */
export interface SchemaFromRemoteOptions
  extends Pick<
    RemoteOptions,
    'url' | 'key' | 'accessToken' | 'schema' | 'fetch' | 'headers' | 'retries' | 'timeoutMs' | 'maxResponseBytes'
  > {
  /**
   * The remote tables that are wanted.
   * @default all that the remote tells this key of and that have a primary key
   */
  readonly tables?: readonly string[] | undefined
  /** @default '0001' */
  readonly version?: string | undefined
  /** @default 'remote_schema' */
  readonly name?: string | undefined
  /** Where the wasm module comes from, as for `open`. */
  readonly wasm?: WasmSource | undefined
  /**
   * Told of tables that are left out because they have no primary key.
   * @default `console.warn`
   */
  readonly onWarning?: OpenOptions['onWarning']
}

/** A migration that is text in both directions. */
export interface SchemaMigration extends Migration {
  readonly up: string
  readonly down: string
}

/**
 * The local migration for a remote's tables: columns declared so that every value comes and goes unaltered, primary keys, NOT NULL,
 * defaults that SQLite has too, unique columns and references. It is meant to be looked at and kept as a file: a migration that
 * changes from one opening to the next is refused there. What the remote alone fills is NULL locally until it has.
 *
 * The tables come from the function `tidelock_schema`, which {@link sqlHelpers} makes and which a publishable key may call, and from
 * PostgREST's OpenAPI document, which Supabase shows to secret keys only; those are for Node.
 *
 * Rejects with `invalid_argument`, `sync_unauthorized` and `sync_schema_mismatch` when the remote doesn't tell this key of its tables, or
 * not of one that was named, or that one has no primary key; and with `sync_network`, `sync_server`, `sync_protocol`, `wasm_load_failed`.
 *
 * @example
 * ```ts
 * const migration = await schemaFromRemote({ url, key, tables: ['orders', 'order_lines'] })
 * await writeFile(`migrations/${migration.version}_${migration.name}.sql`, migration.up)
 * ```
 */
export async function schemaFromRemote(options: SchemaFromRemoteOptions): Promise<SchemaMigration> {
  const { tables, version, name, wasm, onWarning, ...remote } = checkObject(
    'The options of schemaFromRemote',
    options,
    keys,
  ) as Partial<SchemaFromRemoteOptions>
  const wanted = tables === undefined ? [] : checkStrings('tables', tables)
  const migration = {
    version: checkString('version', version ?? '0001'),
    name: checkString('name', name ?? 'remote_schema'),
  }
  const around = surroundings()
  const { checkRemote } = await loaded('remote', import('../options/rare-options.js'))
  const checked = checkRemote({ ...remote, tables: wanted }, around.secrets)
  // Nothing is opened: the name stands for none.
  const opening: OpenOptions = { name: 'schema', storage: 'memory', wasm, onWarning, remote: options as RemoteOptions }
  const user = new LocalUser(opening)
  const nothing = checkOptions({ name: 'schema', storage: 'memory' }, around)
  const [bridge, instance] = await bridgeAlone(nothing, {}, user, wasm)
  const { up, down, leftOut } = await bridge.schemaFromRemote(instance, checked)
  if (leftOut.length > 0) {
    const message = `Tables without a primary key are left out: ${leftOut.join(', ')}`
    if (onWarning === undefined) console.warn(`tidelock: ${message}`)
    else callUser(onWarning, { code: 'table_without_key', message })
  }
  return { ...migration, up, down }
}

const keys = [
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
