/** Returns the candidate that differs least from a name: by a typo, not by another word. Undefined when none is close. */
export function closest(name: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined
  let least = (name.length < 6 ? 1 : 2) + 1
  for (const candidate of candidates) {
    // As many edits at least as the lengths differ: a long text takes no time.
    if (Math.abs(name.length - candidate.length) >= least) continue
    const edits = distance(name.toLowerCase(), candidate.toLowerCase())
    if (edits < least) [best, least] = [candidate, edits]
  }
  return best
}

/** The number of characters to insert, delete, replace, or swap with the next one, to turn one text into the other. */
function distance(one: string, other: string): number {
  let before: number[] = []
  let row = Array.from({ length: other.length + 1 }, (_, at) => at)
  for (let i = 1; i <= one.length; i++) {
    const next = [i]
    for (let j = 1; j <= other.length; j++) {
      const same = one[i - 1] === other[j - 1]
      const swapped = i > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1]
      next[j] = Math.min(
        (row[j] as number) + 1,
        (next[j - 1] as number) + 1,
        (row[j - 1] as number) + (same ? 0 : 1),
        swapped ? (before[j - 2] as number) + 1 : Number.POSITIVE_INFINITY,
      )
    }
    ;[before, row] = [row, next]
  }
  return row[other.length] as number
}
