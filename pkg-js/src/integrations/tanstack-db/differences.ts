import { type Row, TidelockError } from '../../index.js'
import type { CollectionKey } from './table.js'

/** What changed from one result to the next. */
export interface Differences {
  readonly added: readonly Row[]
  readonly updated: readonly { readonly before: Row; readonly after: Row }[]
  readonly removed: readonly CollectionKey[]
}

/** The rows of the newest result by their key. */
export class KnownRows {
  #rows: ReadonlyMap<CollectionKey, Row> = new Map()

  /** Takes the next result and returns how it differs from the one before. Throws `invalid_argument` for two rows with one key. */
  next(result: readonly Row[], keyOf: (row: Row) => CollectionKey): Differences {
    const [before, rows] = [this.#rows, new Map<CollectionKey, Row>()]
    const added: Row[] = []
    const updated: { before: Row; after: Row }[] = []
    for (const row of result) {
      const key = keyOf(row)
      if (rows.has(key)) throw sharedKey()
      const known = before.get(key)
      const same = known !== undefined && sameRow(known, row)
      rows.set(key, same ? known : row)
      if (known === undefined) added.push(row)
      else if (!same) updated.push({ before: known, after: row })
    }
    this.#rows = rows
    return { added, updated, removed: [...before.keys()].filter((key) => !rows.has(key)) }
  }

  /** Returns whether the newest result has exactly this row under the key; undefined: no row. */
  has(key: CollectionKey, row: Row | undefined): boolean {
    const known = this.#rows.get(key)
    return known === undefined || row === undefined ? known === row : sameRow(known, row)
  }
}

function sharedKey(): TidelockError {
  return new TidelockError('invalid_argument', 'Two rows of the collection have the same key', {
    hint: 'Let getKey return what is different for each row, for example all columns of the primary key',
  })
}

function sameRow(one: Row, other: Row): boolean {
  const names = Object.keys(one)
  return names.length === Object.keys(other).length && names.every((name) => sameValue(one[name], other[name]))
}

function sameValue(one: unknown, other: unknown): boolean {
  if (!(one instanceof Uint8Array && other instanceof Uint8Array)) return one === other
  return one.length === other.length && one.every((byte, at) => byte === other[at])
}
