import { checkOneOf, checkString, lacking } from '../base/check.js'
import { invalid, TidelockError } from '../base/errors.js'
import type { CoreOptions } from '../engine/core.js'

// Where a database is, or is to be.

/** What of the surroundings that depends on. */
export interface Place {
  /** Neither a page nor a worker, and without an IndexedDB: nothing keeps data here unless a folder or memory is asked for. */
  readonly server: boolean
}

/**
 * The options `storage` and `path`. Fails with `invalid_argument`, and with `unsupported_environment` for what this build lacks, and on a
 * server.
 */
export function checkStorage(storage: unknown, path: unknown, { server }: Place): CoreOptions['storage'] {
  if (storage === 'opfs' || storage === 'best') throw lacking(`storage: '${storage}'`, 'storage')
  const given = checkOneOf('storage', storage ?? 'indexeddb', ['indexeddb', 'memory', 'file'])
  if (given === 'indexeddb' && server) throw onServer(storage === undefined && path !== undefined)
  checkPath(path, given)
  return given
}

/** The option `path`, which goes with `storage: 'file'` alone. Fails with `invalid_argument`. */
export function checkPath(path: unknown, storage: string): string | undefined {
  if (path === undefined) return undefined
  if (storage !== 'file') throw invalid("path needs storage 'file'", { details: { option: 'path' } })
  return checkString('path', path)
}

/** The error for what needs a browser's storage, on a server. `hasPath`: a folder was named, but not that it is to be one. */
export function onServer(hasPath = false): TidelockError {
  return new TidelockError(
    'unsupported_environment',
    'This is a server: there is no browser that could store the data',
    {
      details: { option: 'storage' },
      hint: hasPath
        ? "Add storage: 'file' to path for a database in that folder"
        : "Open it in the browser, once the page is there. A program in Node says where its data is: storage: 'file' with path, or storage: 'memory'",
    },
  )
}

/** The folder of a database that was given none, beside the program's others. What a file's name can't have is escaped as in URLs. */
export function defaultPath(name: string): string {
  const file = name.replace(/[%/\\:*?"<>|]/g, (char) => `%${char.charCodeAt(0).toString(16).padStart(2, '0')}`)
  return `./${file}.tidelock/`
}
