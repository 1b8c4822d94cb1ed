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
