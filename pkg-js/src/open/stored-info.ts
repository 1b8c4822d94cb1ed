import type { StoredDatabase } from '../base/generated-types.js'

/** One stored database, as `databases` lists it. */
export interface DatabaseInfo extends StoredDatabase {
  /** The name that `open` takes. */
  readonly name: string
  /** Its folder, with `storage: 'file'`. */
  readonly path?: string
}
