import { checkOptionsOf, checkString } from '../base/check.js'
import type { Encryption } from '../base/encryption.js'
import { TidelockError } from '../base/errors.js'
import type { RecoveryReport } from '../base/generated-types.js'
import { loaded } from '../base/lazy-module.js'
import type { ColumnKey } from '../functions/column-key.js'
import type { FunctionsModule, SqlFunctions } from '../functions/functions.js'
import { bridgeAlone } from '../instance/bridge-alone.js'
import { DatabaseClient } from '../instance/database-client.js'
import { checkOptions } from '../options/check-options.js'
import type { OpenOptions, WasmSource } from '../options/options.js'
import { filesOf } from './files-of.js'
import { withHolder } from './in-use.js'
import { storagesOf } from './location.js'
import { checkEncrypted, checkedColumnKeys, checkedFunctions, openEnvironment, requireStorage } from './open.js'
import type { LastingStorage } from './stored-info.js'

/**
 * Resets a damaged database (`open` rejects with `database_corrupt`) to its last good state, or to the snapshot `from`. The damaged part is
 * quarantined for seven days. Without `from`, an intact database doesn't change.
 *
 * Rejects with `invalid_argument` when the database doesn't exist, `database_in_use`, `snapshot_not_found`, `snapshot_corrupt`,
 * `database_corrupt` when nothing usable is left, `decryption_failed`, `wasm_load_failed` and `storage_*`. The key of an encrypted database is stored in its
 * head record and in the copy of that: without both, none of its data can be read.
 *
 * @example
 * ```ts
 * const db = await open(options).catch(async (error) => {
 *   if (!isTidelockError(error, 'database_corrupt')) throw error
 *   report(await recover(options.name))
 *   return open(options)
 * })
 * ```
 */
export async function recover(
  name: string,
  options?: {
    /**
     * `'file'`: the database is in a folder, in Node.
     * @default the browser's storage that has the database
     */
    readonly storage?: LastingStorage | undefined
    /**
     * The folder of `storage: 'file'`.
     * @default `./<name>.tidelock/`
     */
    readonly path?: string | undefined
    /** The id of the snapshot to reset the database to. */
    readonly from?: string | undefined
    /** The passphrase or key of an encrypted database. */
    readonly encryption?: Encryption | undefined
    /**
     * The functions and collations that the schema uses, as for `open`. Without them, indexes, generated columns and checks can't be
     * verified; `problems` says so. Where rows must be copied out of damaged chunks, a missing one is `invalid_argument`.
     */
    readonly functions?: SqlFunctions | FunctionsModule | undefined
    /** The keys of `encrypt` and `decrypt`, as for `open`; needed when the schema uses these functions. */
    readonly columnKey?: ColumnKey | readonly ColumnKey[] | undefined
    /** Where the wasm module comes from, as for `open`. */
    readonly wasm?: WasmSource | undefined
    /** Where the worker of `storage: 'opfs'` comes from, as for `open`. */
    readonly worker?: OpenOptions['worker']
  },
): Promise<RecoveryReport> {
  const given = checkOptionsOf('recover', options, known)
  const from = given.from === undefined ? undefined : checkString('from', given.from)
  const { path, wasm, worker, encryption, functions, columnKey } = options ?? {}
  const places = await storagesOf(name)
  const storage = options?.storage ?? places[0]
  const opening: OpenOptions = { name, storage, path, wasm, worker, encryption, functions, columnKey }
  const checked = checkOptions(opening, openEnvironment())
  await checkEncrypted(opening)
  const needed = { functions: await checkedFunctions(opening), columnKeys: await checkedColumnKeys(opening) }
  requireStorage(checked.storage)
  const folder = checked.path === undefined ? await filesOf(checked, opening) : await filesOfDatabase(checked.path)
  if (checked.storage !== 'file' && !places.some((place) => place === checked.storage)) {
    throw new TidelockError('invalid_argument', `There is no database '${name}'`, {
      hint: 'databases() lists the stored databases',
    })
  }
  const user = new DatabaseClient(opening)
  const [bridge, instance] = await bridgeAlone(checked, { encryption, ...needed }, user, wasm)
  try {
    return await bridge.recover(instance, from, folder)
  } catch (error) {
    throw withHolder(error, checked, 'Close it there first')
  }
}

const known = ['storage', 'path', 'from', 'encryption', 'functions', 'columnKey', 'wasm', 'worker']

/** Returns the files of a folder's database, by a module that is loaded only for folders. */
async function filesOfDatabase(folder: string) {
  const folders = await loaded("storage 'file'", import('./stored-folders.js'))
  return folders.filesOfDatabase(folder)
}
