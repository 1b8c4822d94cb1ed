import { checkOneOf, checkString } from '../base/check.js'
import { invalid, TidelockError } from '../base/errors.js'
import type { CoreOptions } from '../engine/core-options.js'

// Checks the options about the place of a database.

/** What the default storage depends on in the environment. */
export interface StorageEnvironment {
  /** Whether this is neither a page nor a worker and has no IndexedDB: then `storage` must be `file` or `memory`. */
  readonly server: boolean
}

/** Checks the options `storage` and `path`. Throws `invalid_argument`, or `unsupported_environment` for storages of browsers on a server. */
export function checkStorage(storage: unknown, path: unknown, { server }: StorageEnvironment): CoreOptions['storage'] {
  const given = checkOneOf('storage', storage ?? 'indexeddb', ['indexeddb', 'opfs', 'memory', 'file', 'best'])
  if (given !== 'memory' && given !== 'file' && server) throw onServer(storage === undefined && path !== undefined)
  checkPath(path, given)
  // `open` has decided before what is best.
  return given === 'best' ? 'indexeddb' : given
}

/** Checks the option `path`, which needs `storage: 'file'`. Throws `invalid_argument`. */
export function checkPath(path: unknown, storage: string): string | undefined {
  if (path === undefined) return undefined
  if (storage !== 'file') throw invalid("path needs storage 'file'", { details: { option: 'path' } })
  const checked = checkString('path', path)
  if (checked.includes('\0')) throw invalid('path must not contain a NUL character', { details: { option: 'path' } })
  return checked
}

/** Returns the error for IndexedDB on a server. `hasPath`: the option `path` was passed without `storage`. */
export function onServer(hasPath = false): TidelockError {
  return new TidelockError('unsupported_environment', 'This is a server, which has no browser storage', {
    details: { option: 'storage' },
    hint: hasPath
      ? "Add storage: 'file' to path for a database in that folder"
      : "Open the database in the browser: in an effect, or in a component of the client only. In a Node program pass storage: 'file' with path, or storage: 'memory'",
  })
}

/** Returns the default folder of a database, below the working directory. Characters not allowed in file names are escaped as in URLs. */
export function defaultPath(name: string): string {
  const file = name.replace(/[%/\\:*?"<>|]/g, (char) => `%${char.charCodeAt(0).toString(16).padStart(2, '0')}`)
  return `./${file}.tidelock/`
}
