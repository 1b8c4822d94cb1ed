/** Returns the candidate that differs least from a name: by a typo, not by another word. Undefined when none is close. */
export function closest(name: string, candidates: readonly string[]): string | undefined {
  const most = name.length < 6 ? 1 : 2
  const meant = name.toLowerCase()
  for (let edits = 0; edits <= most; edits++) {
    const found = candidates.find((candidate) => isWithin(edits, meant, candidate.toLowerCase()))
    if (found !== undefined) return found
  }
  return undefined
}

/** Whether so many characters, inserted, deleted, replaced, or swapped with the next one, turn one text into the other. */
function isWithin(edits: number, one: string, other: string): boolean {
  let same = 0
  while (same < one.length && one[same] === other[same]) same++
  const [a, b] = [one.slice(same), other.slice(same)]
  if (edits === 0 || a === b) return a === b
  const isSwapped = a[0] === b[1] && a[1] === b[0]
  const ways = [[0, 1], [1, 0], [1, 1], ...(isSwapped ? [[2, 2]] : [])]
  return ways.some(([i, j]) => isWithin(edits - 1, a.slice(i), b.slice(j)))
}
