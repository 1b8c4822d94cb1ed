import type { StorageKind, StoredDatabase } from '../base/generated-types.js'

/** A storage that outlives its page or process. */
export type LastingStorage = Exclude<StorageKind, 'memory'>

/** One stored database, as `databases` lists it. */
export interface DatabaseInfo extends StoredDatabase {
  /** The name that `open` takes. */
  readonly name: string
  /** Where it is stored. */
  readonly storage: LastingStorage
  /** Its folder, with `storage: 'file'`. */
  readonly path?: string
}
