import { invalid } from '../base/errors.js'
import { type RowCells, type RowsDifference, rowComparison, rowsBetween } from './rows-difference.js'

/** A row, and its position in the newer result, or for a removed row in the older one. */
export interface PlacedRow<T> {
  readonly row: T
  /** Its position, from 0. */
  readonly index: number
}

/** A row with other values than before. */
export interface UpdatedRow<T> extends PlacedRow<T> {
  /** The row of the same key in the older result. */
  readonly previous: T
}

/** A row whose order among the other rows has changed. */
export interface MovedRow<T> extends PlacedRow<T> {
  /** Its position in the older result. */
  readonly from: number
}

/**
 * The difference from one result to the next. Rows are the same if their keys are. A row may be both updated and moved; rows that only make
 * room for others are neither.
 *
 * To change a list in the same way: take out what is `removed` and `moved` by its old position, from the last one to the first; put in what
 * is `added` and `moved` by `index`, from the first to the last; replace what is `updated`.
 */
export interface LiveChanges<T> {
  /** Rows whose keys are new, in the order of the newer result. */
  readonly added: readonly PlacedRow<T>[]
  /** Rows with other values than before. */
  readonly updated: readonly UpdatedRow<T>[]
  /** Rows of the older result that the newer one doesn't have. */
  readonly removed: readonly PlacedRow<T>[]
  /** Rows whose order has changed. */
  readonly moved: readonly MovedRow<T>[]
}

/** A result whose keys are known. */
export interface KeyedRows<T> {
  readonly rows: readonly T[]
  /** The keys of all rows. */
  readonly keys: Set<unknown>
}

/**
 * Returns the difference between two results, and takes the keys of `before` over to the next comparison. `difference`: the positions of all
 * rows that may differ, if they are known. Throws `invalid_argument` when a row lacks a column of the key, or two rows have the same key;
 * `before` is unchanged then.
 */
export function rowChanges<T>(
  before: KeyedRows<T>,
  rows: readonly T[],
  key: readonly (string | number)[],
  difference?: RowsDifference,
): { readonly changes: LiveChanges<T>; readonly after: KeyedRows<T> } {
  const old = before.rows
  const sameRow = rowComparison(old, rows)
  const { removed: deleted, inserted } = difference ?? rowsBetween(old, rows, sameRow)
  /** The rows at `deleted`: their positions, and how many rows before them stay. */
  const places = new Map<unknown, { readonly from: number; readonly after: number }>()
  deleted.forEach((from, at) => {
    places.set(keyOf(old[from], key), { from, after: from - at })
  })
  const added: PlacedRow<T>[] = []
  const updated: UpdatedRow<T>[] = []
  const newKeys = new Set<unknown>()
  /** Rows of both results that are still between the same rows that stay: their positions in the older and the newer one. */
  const kept: { readonly from: number; readonly index: number }[] = []
  const moved: MovedRow<T>[] = []
  inserted.forEach((index, at) => {
    const row = rows[index] as T
    const itsKey = keyOf(row, key)
    const place = places.get(itsKey)
    if (newKeys.has(itsKey) || (place === undefined && before.keys.has(itsKey))) throw notUnique(key)
    newKeys.add(itsKey)
    if (place === undefined) {
      added.push({ row, index })
      return
    }
    const { from, after } = place
    if (after === index - at) kept.push({ from, index })
    else moved.push({ row, index, from })
    const previous = old[from] as T
    if (!sameRow(previous, row)) updated.push({ row, previous, index })
  })
  const removed: PlacedRow<T>[] = []
  const { keys } = before
  for (const [itsKey, { from }] of places) {
    if (newKeys.has(itsKey)) continue
    removed.push({ row: old[from] as T, index: from })
    keys.delete(itsKey)
  }
  for (const { row } of added) keys.add(keyOf(row, key))
  const stays = longestRising(kept.map(({ from }) => from))
  kept.forEach(({ from, index }, at) => {
    if (!stays.has(at)) moved.push({ row: rows[index] as T, index, from })
  })
  moved.sort((one, other) => one.index - other.index)
  return { changes: { added, updated, removed, moved }, after: { rows, keys } }
}

/** Whether nothing differs. */
export function isEmpty({ added, updated, removed, moved }: LiveChanges<unknown>): boolean {
  return added.length + updated.length + removed.length + moved.length === 0
}

/** Returns a value that is the same for equal keys only. */
function keyOf(row: unknown, key: readonly (string | number)[]): unknown {
  for (const column of key) if ((row as RowCells)[column] === undefined) throw missing(column)
  if (key.length !== 1) return key.map((column) => text((row as RowCells)[column])).join('')
  const value = (row as RowCells)[key[0] as string]
  // A text that begins with NUL could be that of another value.
  return value instanceof Uint8Array || (typeof value === 'string' && value.startsWith('\0')) ? text(value) : value
}

/** Returns a text whose end is known from its beginning, so that texts of several values can be joined. */
function text(value: unknown): string {
  const [kind, plain] = value instanceof Uint8Array ? ['bytes', value.join()] : [typeof value, String(value)]
  return `\0${kind}${plain.length}:${plain}`
}

/** Returns the indexes of a longest rising subsequence of different numbers. */
function longestRising(numbers: readonly number[]): Set<number> {
  /** At each length less one: the index of the smallest number that ends a rising subsequence of that length. */
  const ends: number[] = []
  const before = new Int32Array(numbers.length)
  numbers.forEach((number, at) => {
    let low = 0
    let high = ends.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((numbers[ends[middle] as number] as number) < number) low = middle + 1
      else high = middle
    }
    before[at] = low === 0 ? -1 : (ends[low - 1] as number)
    ends[low] = at
  })
  const found = new Set<number>()
  for (let at = ends.at(-1) ?? -1; at >= 0; at = before[at] as number) found.add(at)
  return found
}

function named(key: readonly (string | number)[]): string {
  return key.length === 1 ? `The key ${key[0]}` : `The key (${key.join(', ')})`
}

function notUnique(key: readonly (string | number)[]): Error {
  return invalid(`${named(key)} isn't unique in the result of the live query`, {
    details: { key },
    hint: 'Name columns that differ in every row, such as the primary key',
  })
}

function missing(column: string | number): Error {
  return invalid(`The live query has no column ${column}`, {
    details: { option: 'key' },
    hint: 'Select the columns of the key, too',
  })
}
