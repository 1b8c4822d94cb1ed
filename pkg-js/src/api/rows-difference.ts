/** How one list of rows became another: take out `removed`, then put in the rows at `inserted`. A changed row is in both. */
export interface RowsDifference {
  /** Positions in the older list, rising. */
  readonly removed: readonly number[]
  /** Positions in the newer list, rising. */
  readonly inserted: readonly number[]
}

/** Reads the answer of {@link import('../engine/core.js').Core.difference}. */
export function liveDifference([total = 0, count = 0, ...positions]: Iterable<number>): {
  readonly total: number
  readonly difference: RowsDifference
} {
  return { total, difference: { removed: positions.slice(0, count), inserted: positions.slice(count) } }
}

export type RowCells = Readonly<Record<string | number, unknown>>

type RowComparison = (one: unknown, other: unknown) => boolean

/** Returns a function that compares the values of rows of two results. */
export function rowComparison([first]: readonly unknown[], [other]: readonly unknown[]): RowComparison {
  // The columns change with the schema.
  const haveSame = String(Object.keys(first ?? {})) === String(Object.keys(other ?? {}))
  const sameCells = Array.isArray(first) ? sameInArrays : sameInObjects
  return (one, other) => one === other || (haveSame && sameCells(one as never, other as never))
}

function sameInArrays(one: readonly unknown[], other: readonly unknown[]): boolean {
  return one.every((value, at) => sameValue(value, other[at]))
}

function sameInObjects(one: RowCells, other: RowCells): boolean {
  // Twice as fast as a loop over a list of columns.
  for (const column in one) if (!sameValue(one[column], other[column])) return false
  return true
}

function sameValue(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true
  if (!(one instanceof Uint8Array && other instanceof Uint8Array) || one.length !== other.length) return false
  return one.every((byte, at) => byte === other[at])
}

/**
 * Returns a difference that leaves out the equal rows at both ends: most changes touch few rows. Between these it leaves out rows that are
 * equal at their position, if there are as many in both lists.
 */
export function rowsBetween(before: readonly unknown[], rows: readonly unknown[], same: RowComparison): RowsDifference {
  let start = 0
  let oldEnd = before.length
  let end = rows.length
  while (start < oldEnd && start < end && same(before[start], rows[start])) start++
  while (oldEnd > start && end > start && same(before[oldEnd - 1], rows[end - 1])) {
    oldEnd--
    end--
  }
  if (oldEnd !== end) return { removed: range(start, oldEnd), inserted: range(start, end) }
  const changed = range(start, end).filter((at) => !same(before[at], rows[at]))
  return { removed: changed, inserted: changed }
}

function range(start: number, end: number): number[] {
  const positions: number[] = []
  for (let at = start; at < end; at++) positions.push(at)
  return positions
}

/** Returns a result with the objects of the result before for rows that are equal, as {@link rowsBetween} finds them. */
export function reused<T>(before: readonly T[], rows: readonly T[]): readonly T[] {
  if (before.length === 0) return rows
  const difference = rowsBetween(before, rows, rowComparison(before, rows))
  return patched(
    before,
    difference,
    difference.inserted.map((at) => rows[at] as T),
  )
}

/** Applies a difference to rows, which it doesn't change. `rows` are those at `inserted`. */
export function patched<T>(before: readonly T[], { removed, inserted }: RowsDifference, rows: readonly T[]): T[] {
  if (removed.length + inserted.length > FEW) return merged(before, { removed, inserted }, rows)
  const after = before.slice()
  const stays = removed.length === inserted.length && removed.every((position, at) => position === inserted[at])
  if (!stays) for (const position of [...removed].reverse()) after.splice(position, 1)
  inserted.forEach((position, at) => {
    after.splice(position, stays ? 1 : 0, rows[at] as T)
  })
  return after
}

/** So many positions are moved faster one by one: each of them moves all rows behind it. */
const FEW = 64

/** Applies a difference in one pass over all rows. */
function merged<T>(before: readonly T[], { removed, inserted }: RowsDifference, rows: readonly T[]): T[] {
  const after: T[] = []
  let at = 0
  let passed = 0
  const keep = (length: number) => {
    for (; after.length < length && at < before.length; at++) {
      if (removed[passed] === at) passed++
      else after.push(before[at] as T)
    }
  }
  inserted.forEach((position, index) => {
    keep(position)
    after.push(rows[index] as T)
  })
  keep(Number.POSITIVE_INFINITY)
  return after
}
