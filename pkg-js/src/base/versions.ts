/** Compares versions of migrations, each run of digits as a number of any length. Returns less than 0 when `a` comes first. */
export function compareVersions(a: string, b: string): number {
  const left = versionNumbers(a)
  const right = versionNumbers(b)
  for (let at = 0; at < Math.min(left.length, right.length); at++) {
    const x = left[at] as string
    const y = right[at] as string
    if (x.length !== y.length) return x.length - y.length
    if (x !== y) return x < y ? -1 : 1
  }
  return left.length - right.length
}

/** Returns the text that all spellings of a version share. */
export function versionKey(version: string): string {
  return versionNumbers(version).join('.')
}

/** Returns the runs of digits of a version without leading zeros. */
function versionNumbers(version: string): string[] {
  return (version.match(/\d+/g) ?? []).map((digits) => digits.replace(/^0+(?=\d)/, ''))
}
