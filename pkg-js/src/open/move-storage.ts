import { checkOneOf, checkOptionsOf } from '../base/check.js'
import type { Encryption } from '../base/encryption.js'
import { invalid } from '../base/errors.js'
import { loaded } from '../base/lazy-module.js'
import type { CoreOptions } from '../engine/core-options.js'
import { bridgeAlone } from '../instance/bridge-alone.js'
import { DatabaseClient } from '../instance/database-client.js'
import { checkOptions } from '../options/check-options.js'
import { fileWaitMs } from '../options/file-wait.js'
import type { OpenOptions, WasmSource } from '../options/options.js'
import { beginMove, endMove, knownStoragesOf, storagesOf } from './location.js'
import { checkEncrypted, openEnvironment, requireStorage } from './open.js'
import { whileClosed } from './while-closed.js'

/** Options of {@link moveStorage}. */
export interface MoveStorageOptions {
  /** The storage to move the database to. */
  readonly to: 'indexeddb' | 'opfs'
  /**
   * The passphrase or key of an encrypted database. With it, the database is also decrypted and checked before it is moved; without it, the
   * encrypted bytes are moved and compared.
   */
  readonly encryption?: Encryption | undefined
  /** The package's worker, as for `open`: only a worker has the files of `'opfs'`. */
  readonly worker?: OpenOptions['worker']
  /** Where the wasm module comes from, as for `open`. */
  readonly wasm?: WasmSource | undefined
}

/**
 * Moves a database that isn't open to another storage of the browser, with all its snapshots and its page log: copies it, compares the copy
 * with the original byte by byte, and removes the original. A move that is interrupted, by a crash too, leaves the database whole in one of the
 * storages, and what remains in the other is removed by the next call. A database that is there already stays as it is.
 *
 * Rejects with `invalid_argument` when there is no such database, or a second one of that name in the other storage; `database_in_use`;
 * `database_corrupt` for a damaged database, and `database_too_large` for one of more than 1 GiB that would move to `'indexeddb'`, which both
 * stay where they are; `decryption_failed`; `storage_unavailable`, `storage_quota_exceeded` (for a while both copies need space) and
 * `storage_blocked`; `lock_lost` when another tab steals the lock meanwhile; `unsupported_environment` outside of browsers;
 * `wasm_load_failed`.
 *
 * @example
 * ```ts
 * await moveStorage('shop', { to: 'opfs' })
 * const db = await open({ name: 'shop', storage: 'opfs', thread: 'worker' })
 * ```
 */
export async function moveStorage(name: string, options: MoveStorageOptions): Promise<void> {
  const given = checkOptionsOf('moveStorage', options, ['to', 'encryption', 'worker', 'wasm'])
  const to = checkOneOf<MoveStorageOptions['to']>('to', given.to, ['indexeddb', 'opfs'])
  const { encryption, worker, wasm } = options
  const opening: OpenOptions = { name, storage: to, encryption, worker, wasm }
  const checked = checkOptions(opening, openEnvironment())
  await checkEncrypted(opening)
  requireStorage('indexeddb')
  requireStorage('opfs', 'worker')
  await whileClosed(name, { hint: 'Close it there first' }, async (stolen) => {
    await endMove(name, { signal: stolen })
    const places = await knownStoragesOf(name)
    if (places.length === 0)
      throw invalid(`There is no database '${name}'`, { hint: 'databases() lists the stored databases' })
    if (places.length > 1)
      throw invalid(`There are two databases '${name}', one in each storage`, {
        details: { option: 'to' },
        hint: `Delete the one that isn't needed, with deleteDatabase('${name}', { storage })`,
      })
    if (places[0] === to) return
    await beginMove(name)
    try {
      await copy(checked, opening, stolen)
    } catch (error) {
      if (stolen.aborted) throw error
      await endMove(name)
      // The last step only marks the original as moved. If the disk has no room for that, it is removed all the same.
      if (String(await storagesOf(name)) !== to) throw error
    } finally {
      // Another holder may use by now what is there.
      if (!stolen.aborted) await endMove(name)
    }
  })
}

/** Copies the database and makes the copy the database, in a worker: in this one, or in one of the package. */
async function copy(checked: CoreOptions, options: OpenOptions, stolen: AbortSignal): Promise<void> {
  if (!('DedicatedWorkerGlobalScope' in globalThis)) {
    const { moveInWorker } = await loaded("thread 'worker'", import('../worker/move-in-worker.js'))
    return moveInWorker(checked, options, stolen)
  }
  const { PrivateFiles } = await loaded("storage 'opfs'", import('../worker/private-files.js'))
  const { encryption, wasm } = options
  const [bridge, instance] = await bridgeAlone(checked, { encryption }, new DatabaseClient(options), wasm)
  const files = new PrivateFiles(checked.name, { waitMs: fileWaitMs(checked), moving: true })
  // Without the files it can't go on.
  stolen.addEventListener('abort', () => files.abandon())
  await bridge.moveStorage(instance, files)
}
