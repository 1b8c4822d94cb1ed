import type { TidelockErrorJson } from '../base/errors.js'

/** What {@link Database.maintain} found and did. */
export interface MaintenanceReport {
  /** Nothing was found, and no step failed. */
  readonly ok: boolean
  /** What SQLite's `integrity_check` found, at most 100 sentences. Where there are any, nothing was written. */
  readonly integrity: readonly string[]
  /** Rows whose parent is missing, at most 100; `rowid` null: in a table without rowids. */
  readonly foreignKeys: readonly {
    readonly table: string
    readonly rowid: number | null
    readonly parent: string
  }[]
  /** How many rows of each table of the option `expires` went. */
  readonly expired: readonly { readonly table: string; readonly deleted: number }[]
  /** How many rows of the audit log went. */
  readonly auditDeleted: number
  /** Free pages that were given back, and their bytes. */
  readonly freedPages: number
  readonly freedBytes: number
  /** Whether the statistics for SQLite's query planner were gathered anew. */
  readonly analyzed: boolean
  /** Steps that failed, while the others ran. */
  readonly errors: readonly {
    readonly step: 'integrity' | 'foreignKeys' | 'expires' | 'audit' | 'vacuum' | 'analyze'
    readonly table: string | null
    readonly error: Partial<TidelockErrorJson>
  }[]
  readonly ms: number
}
