// What a reader of `live.changes` does with a difference. Loaded in Node and in pages, so it imports nothing.

/** Returns the rows after a difference, as docs/live.md says. */
export function applied(rows, { added, updated, removed, moved }) {
  const out = [...rows]
  const leaving = [...removed.map(({ index }) => index), ...moved.map(({ from }) => from)]
  for (const index of leaving.sort((one, other) => other - one)) out.splice(index, 1)
  for (const { row, index } of [...added, ...moved].sort((one, other) => one.index - other.index))
    out.splice(index, 0, row)
  for (const { row, index } of updated) out[index] = row
  return out
}
