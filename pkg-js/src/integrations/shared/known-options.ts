import { TidelockError } from './package.js'

/** Throws `invalid_argument` for an option that a function doesn't have, as `open` does: a misspelt one would have no effect. */
export function checkKnown(what: string, options: object, known: readonly string[]): void {
  const option = Object.keys(options).find((key) => !known.includes(key))
  if (option === undefined) return
  throw new TidelockError('invalid_argument', `${what} has no option '${option}'`, {
    details: { option },
    hint: `Known are: ${known.join(', ')}`,
  })
}
