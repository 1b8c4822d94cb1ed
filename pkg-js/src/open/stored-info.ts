/** One stored database, as `databases` lists it. */
export interface DatabaseInfo {
  /** The name that `open` takes. */
  readonly name: string
  /** Whether it is open, in any tab of this origin, or in a process. */
  readonly inUse: boolean
  /** Whether it is encrypted; null where its head can't be read. */
  readonly encrypted: boolean | null
  /** When it was last opened; null where that can't be read. */
  readonly openedAt: string | null
  /** Its folder, with `storage: 'file'`. */
  readonly path?: string
}
