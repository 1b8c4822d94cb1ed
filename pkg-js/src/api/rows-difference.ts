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
  const after = before.slice()
  const stays = removed.length === inserted.length && removed.every((position, at) => position === inserted[at])
  if (!stays) for (const position of [...removed].reverse()) after.splice(position, 1)
  inserted.forEach((position, at) => {
    after.splice(position, stays ? 1 : 0, rows[at] as T)
  })
  return after
}
