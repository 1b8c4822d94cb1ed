import { loaded } from '../base/lazy-module.js'
import type { CoreFolder } from '../engine/core.js'
import type { CoreOptions } from '../engine/core-options.js'
import { nodeFiles } from '../node/load.js'
import { fileWaitMs } from '../options/file-wait.js'
import type { OpenOptions } from '../options/options.js'

/** Returns the files of a database that is in a folder, or the worker that has them. */
export async function filesOf(checked: CoreOptions, options: OpenOptions): Promise<CoreFolder | undefined> {
  const { name, path, storage } = checked
  if (path !== undefined) return (await nodeFiles()).filesOf(path, options)
  if (storage !== 'opfs') return undefined
  if (isDedicatedWorker()) {
    const { PrivateFiles } = await loaded("storage 'opfs'", import('../worker/private-files.js'))
    return new PrivateFiles(name, { waitMs: fileWaitMs(checked) })
  }
  const { StorageWorker } = await loaded("storage 'opfs'", import('../worker/storage-worker.js'))
  return new StorageWorker(name, fileWaitMs(checked), options)
}

/** Only these have the handles of the browser's private files. */
export function isDedicatedWorker(): boolean {
  return 'DedicatedWorkerGlobalScope' in globalThis
}
