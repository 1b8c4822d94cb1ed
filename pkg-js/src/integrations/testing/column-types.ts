import { TidelockError } from '../../index.js'
import { ExactNumber, type JsonValue, printExact } from './exact-json.js'

/** The type of a column of the fake remote, by PostgreSQL's names. Without one, a column takes every value as it is. */
export type ColumnType = 'text' | 'uuid' | 'int8' | 'numeric' | 'float8' | 'bool' | 'timestamptz' | 'date' | 'jsonb'

/** How the types read a value, as text; undefined: it is no value of the type. */
const readers: Readonly<Record<ColumnType, (text: string, value: JsonValue) => JsonValue | undefined>> = {
  text: (text) => text,
  uuid: (text) => (/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i.test(text) ? text.toLowerCase() : undefined),
  int8: (text) => (/^-?\d+$/.test(text) ? numberOf(BigInt(text).toString()) : undefined),
  numeric: (text) => (Number.isFinite(Number(text)) && text.trim() !== '' ? numberOf(text) : undefined),
  float8: (text) => (Number.isFinite(Number(text)) && text.trim() !== '' ? Number(text) : undefined),
  bool: (text) =>
    /^(t|true|y|yes|on|1)$/i.test(text) ? true : /^(f|false|n|no|off|0)$/i.test(text) ? false : undefined,
  timestamptz: timestamp,
  date: (text) => /^\d{4}-\d\d-\d\d/.exec(text)?.[0],
  jsonb: (_, value) => value,
}

/** Checks the name of a column's type. */
export function checkType(column: string, type: string): void {
  if (Object.hasOwn(readers, type)) return
  throw new TidelockError(
    'invalid_argument',
    `The column ${column} of the fake remote has the unknown type '${type}'`,
    {
      hint: `Known are: ${Object.keys(readers).join(', ')}`,
    },
  )
}

/** Returns a value as its column stores it; undefined: the type refuses it. */
export function stored(value: JsonValue, type: ColumnType | undefined): JsonValue | undefined {
  if (value === null || type === undefined) return value
  return readers[type](textOf(value), value)
}

/** Returns a value as text, as a filter spells it. */
export function textOf(value: JsonValue): string {
  return typeof value === 'object' && value !== null && !(value instanceof ExactNumber)
    ? printExact(value)
    : String(value)
}

/** Compares a value of a column with another one, neither null: numbers by their size, times by their order, others by their text. */
export function compareValues(one: JsonValue, other: JsonValue): number {
  const [a, b] = [textOf(one), textOf(other)]
  if (typeof one === 'number' || one instanceof ExactNumber) return compareNumbers(a, b)
  const [first, second] = [sortable(a), sortable(b)]
  return first < second ? -1 : first > second ? 1 : 0
}

function compareNumbers(a: string, b: string): number {
  const difference = Number(a) - Number(b)
  if (difference !== 0 || !/^-?\d+$/.test(a) || !/^-?\d+$/.test(b)) return difference
  return BigInt(a) < BigInt(b) ? -1 : BigInt(a) > BigInt(b) ? 1 : 0
}

/** Returns text that sorts as times do: in UTC, and without the zone, which would come behind the fraction. Other text stays as it is. */
const sortable = (text: string) => timestamp(text)?.replace('+00:00', '') ?? text

/** Returns a number, exact where JavaScript's can't hold it. */
function numberOf(text: string): JsonValue {
  return String(Number(text)) === text ? Number(text) : new ExactNumber(text)
}

/** Returns a time as PostgREST prints it, in UTC and with up to six digits of a second; undefined for other text. */
function timestamp(text: string): string | undefined {
  const parts = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,6})\d*)?(Z|[+-]\d\d(?::?\d\d)?)?)?$/.exec(
    text,
  )
  if (parts === null) return text === 'infinity' || text === '-infinity' ? text : undefined
  const [, day, time = '00:00', fraction = '', zone = 'Z'] = parts
  const offset = /^([+-]\d\d):?(\d\d)?$/.exec(zone)
  const seconds = new Date(`${day}T${time}${offset ? `${offset[1]}:${offset[2] ?? '00'}` : 'Z'}`)
  if (Number.isNaN(seconds.getTime())) return undefined
  const digits = fraction.replace(/0+$/, '')
  return `${seconds.toISOString().slice(0, 19)}${digits && `.${digits}`}+00:00`
}
