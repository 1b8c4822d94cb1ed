/** A number of JSON that JavaScript's numbers can't hold exactly, such as `4.20` and integers beyond 2^53: its text. */
export class ExactNumber {
  constructor(readonly text: string) {}

  toString(): string {
    return this.text
  }
}

/** What a column of the remote holds. */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | ExactNumber
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue }

/** A row of the remote. */
export type JsonRow = Record<string, JsonValue>

const token = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g
/** Marks a string that stands for a number. JSON from outside can't contain it unescaped. */
const mark = '\\u0000number:'

/** Parses JSON; numbers keep all their digits. */
export function parseExact(text: string): JsonValue {
  const marked = text.replace(token, (found) =>
    found.startsWith('"') || String(Number(found)) === found ? found : `"${mark}${found}"`,
  )
  const prefix: string = JSON.parse(`"${mark}"`)
  return JSON.parse(marked, (_, value: unknown) =>
    typeof value === 'string' && value.startsWith(prefix) ? new ExactNumber(value.slice(prefix.length)) : value,
  )
}

/** Writes JSON; the reverse of {@link parseExact}. */
export function printExact(value: JsonValue): string {
  if (value instanceof ExactNumber) return value.text
  if (Array.isArray(value)) return `[${value.map(printExact).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const members = Object.entries(value).map(([name, member]) => `${JSON.stringify(name)}:${printExact(member)}`)
  return `{${members.join(',')}}`
}
