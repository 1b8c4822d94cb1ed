import { isA, isDetached, isPlain } from '../../base/brand.js'
import { invalid } from '../../base/errors.js'
import type { SqlParams, SqlValue } from '../../base/values.js'
import { tag } from '../core.js'
import type { MemorySource } from './memory.js'

// The parameter area: u32 rows, columns, text bytes, blob bytes; f64 slots; u8 tags; all texts joined; all blobs joined.
const headerBytes = 16

// Limits of one area, so that it fits the processor's cache and wasm memory, which never shrinks, stays small. Further rows go into further
// areas. Text is counted in UTF-16 units.
const maxCells = 1 << 14
const maxUnits = 1 << 18
const maxBlobBytes = 1 << 20

const minInteger = -(2n ** 63n)
const maxInteger = 2n ** 63n - 1n

/** The arguments of {@link Core.execute} for the area that was filled. */
export interface Packed {
  readonly bytes: number
  /** The names of the parameters joined by NUL, or '' for parameters by position. */
  readonly names: string
  /** The object keys that the names come from. */
  readonly keys: readonly string[]
  /** The index of the first row that did not fit, or the number of rows. */
  readonly next: number
}

const byPosition: readonly string[] = []
const nothing: Packed = { bytes: 0, names: '', keys: byPosition, next: 1 }

/** Packs the parameters of statements into a memory. Values are checked here, and only here. */
export class Packer {
  readonly #source: MemorySource
  readonly #reserve: (bytes: number) => number
  readonly #encoder = new TextEncoder()
  // Scratch space for one area: slots and tags by cell; texts and blobs until their sizes are known.
  #slots = new Float64Array(64)
  #longs = new BigInt64Array(this.#slots.buffer)
  #tags = new Uint8Array(64)
  #texts: string[] = []
  #writeIds = 0
  #blobs: Uint8Array[] = []
  #blobBytes = 0

  constructor(source: MemorySource, reserve: (bytes: number) => number) {
    this.#source = source
    this.#reserve = reserve
  }

  /** Packs the parameters of one execution. Throws `invalid_argument` naming the parameter. */
  one(params: SqlParams | undefined): Packed {
    if (params === undefined) return nothing
    if (Array.isArray(params)) {
      const bytes = this.#positional(params)
      return bytes === 0 ? nothing : { bytes, names: '', keys: byPosition, next: 1 }
    }
    const named = namedParams(params, undefined)
    const keys = Object.keys(named)
    if (keys.length === 0) return nothing
    const names = parameterNames(keys)
    return { bytes: this.#named(named, keys), names, keys, next: 1 }
  }

  /** Packs parameters that have exactly these keys (none: by position) and returns the bytes; -1 when they have others. */
  same(params: SqlParams | undefined, keys: readonly string[]): number {
    if (params === undefined) return keys.length === 0 ? 0 : -1
    if (Array.isArray(params)) return keys.length === 0 ? this.#positional(params) : -1
    const named = namedParams(params, undefined)
    const found = Object.keys(named)
    if (found.length !== keys.length) return -1
    for (let at = 0; at < found.length; at++) if (found[at] !== keys[at]) return -1
    return keys.length === 0 ? 0 : this.#named(named, keys)
  }

  #positional(params: readonly SqlValue[]): number {
    const columns = checkedCount(params.length)
    if (columns === 0) return 0
    this.#start(columns)
    for (let column = 0; column < columns; column++) {
      const value = params[column] as SqlValue
      if (!this.#put(column, value)) throw badValue(value, column + 1, undefined)
    }
    return this.#write(1, columns)
  }

  #named(params: Readonly<Record<string, SqlValue>>, keys: readonly string[]): number {
    this.#start(keys.length)
    for (let column = 0; column < keys.length; column++) {
      const value = params[keys[column] as string] as SqlValue
      if (!this.#put(column, value)) throw badValue(value, keys[column] as string, undefined)
    }
    return this.#write(1, keys.length)
  }

  /** Packs as many rows as fit one area, starting at the row `from`. All rows must have the parameters of the first. */
  many(rows: readonly SqlParams[], from: number): Packed {
    // Without rows nothing runs, but the statement is still compiled, which finds its errors.
    if (rows.length === 0) {
      this.#start(0)
      return { bytes: this.#write(0, 0), names: '', keys: byPosition, next: 0 }
    }
    const first = rows[0] as SqlParams
    return Array.isArray(first) ? this.#arrays(rows, from, checkedCount(first.length)) : this.#objects(rows, from)
  }

  #arrays(rows: readonly SqlParams[], from: number, columns: number): Packed {
    const next = this.#limit(rows.length, from, columns)
    this.#start((next - from) * columns)
    let cell = 0
    let row = from
    for (; row < next && !this.#full(); row++) {
      const params = rows[row] as readonly SqlValue[]
      if (!Array.isArray(params) || params.length !== columns)
        throw badRow(params, row, `${columns} values, like the first row`)
      for (let column = 0; column < columns; column++, cell++) {
        const value = params[column] as SqlValue
        if (!this.#put(cell, value)) throw badValue(value, column + 1, row)
      }
    }
    return { bytes: this.#write(row - from, columns), names: '', keys: byPosition, next: row }
  }

  #objects(rows: readonly SqlParams[], from: number): Packed {
    const keys = Object.keys(namedParams(rows[0], 0))
    const names = parameterNames(keys)
    const columns = keys.length
    const next = this.#limit(rows.length, from, columns)
    this.#start((next - from) * columns)
    let cell = 0
    let row = from
    for (; row < next && !this.#full(); row++) {
      const params = namedParams(rows[row], row)
      if (Object.keys(params).length !== columns)
        throw badRow(params, row, `the names of the first row: ${keys.join(', ')}`)
      for (let column = 0; column < columns; column++, cell++) {
        const value = params[keys[column] as string] as SqlValue
        if (!this.#put(cell, value)) throw badValue(value, keys[column] as string, row)
      }
    }
    return { bytes: this.#write(row - from, columns), names, keys, next: row }
  }

  #limit(rows: number, from: number, columns: number): number {
    return Math.min(rows, from + Math.max(1, Math.floor(maxCells / Math.max(1, columns))))
  }

  #full(): boolean {
    return this.#writeIds >= maxUnits || this.#blobBytes >= maxBlobBytes
  }

  #start(cells: number): void {
    this.#texts.length = 0
    this.#writeIds = 0
    this.#blobs.length = 0
    this.#blobBytes = 0
    if (cells > this.#tags.length) {
      this.#slots = new Float64Array(cells)
      this.#longs = new BigInt64Array(this.#slots.buffer)
      this.#tags = new Uint8Array(cells)
    }
  }

  /** Puts one value into its cell; returns false when it can't be bound. */
  #put(cell: number, value: SqlValue): boolean {
    switch (typeof value) {
      case 'number':
        if (Number.isSafeInteger(value)) this.#tags[cell] = tag.integer
        else if (Number.isFinite(value)) this.#tags[cell] = tag.real
        else return false
        this.#slots[cell] = value
        return true
      case 'string':
        this.#text(cell, value)
        return true
      case 'boolean':
        this.#tags[cell] = tag.integer
        this.#slots[cell] = value ? 1 : 0
        return true
      case 'bigint':
        if (value < minInteger || value > maxInteger) return false
        this.#tags[cell] = tag.bigint
        this.#longs[cell] = value
        return true
      case 'object':
        if (value === null) {
          this.#tags[cell] = tag.null
          this.#slots[cell] = 0
          return true
        }
        return this.#object(cell, value)
      default:
        return false
    }
  }

  #text(cell: number, value: string): void {
    this.#tags[cell] = tag.text
    this.#slots[cell] = value.length
    this.#writeIds += value.length
    // Encoding turns a lone surrogate into U+FFFD; joined with the next text, it would become half of a character instead.
    const last = value.charCodeAt(value.length - 1)
    this.#texts.push(last >= 0xd800 && last <= 0xdbff ? `${value.slice(0, -1)}\ufffd` : value)
  }

  #object(cell: number, value: object): boolean {
    const plain = plainValue(value)
    if (typeof plain === 'string') {
      this.#text(cell, plain)
      return true
    }
    return typeof plain === 'object' && plain !== null && this.#blob(cell, plain)
  }

  #blob(cell: number, value: Uint8Array): boolean {
    if (!ArrayBuffer.isView(value)) return false
    const bytes = byteLengthOf.call(value)
    this.#tags[cell] = tag.blob
    this.#slots[cell] = bytes
    this.#blobs.push(value)
    this.#blobBytes += bytes
    return true
  }

  /** Writes the area; returns its length in bytes. */
  #write(rows: number, columns: number): number {
    const cells = rows * columns
    const text = this.#texts.length === 1 ? (this.#texts[0] as string) : this.#texts.join('')
    const tagsAt = headerBytes + cells * 8
    const textAt = tagsAt + cells
    const address = this.#reserve(textAt + utf8Bound(text) + this.#blobBytes)
    const { bytes, words, doubles, longs } = this.#source.refresh()
    if (cells <= 16) {
      for (let cell = 0; cell < cells; cell++) {
        // Copied as a bigint, because read as a double it could be a NaN that loses its payload.
        if (this.#tags[cell] === tag.bigint) longs[(address + headerBytes) / 8 + cell] = this.#longs[cell] as bigint
        else doubles[(address + headerBytes) / 8 + cell] = this.#slots[cell] as number
        bytes[address + tagsAt + cell] = this.#tags[cell] as number
      }
    } else {
      doubles.set(this.#slots.subarray(0, cells), (address + headerBytes) / 8)
      bytes.set(this.#tags.subarray(0, cells), address + tagsAt)
    }
    let end = address + textAt
    if (text !== '') end += this.#encoder.encodeInto(text, bytes.subarray(end)).written
    const word = address / 4
    words[word] = rows
    words[word + 1] = columns
    words[word + 2] = end - address - textAt
    words[word + 3] = this.#blobBytes
    for (const blob of this.#blobs) {
      bytes.set(blob, end)
      end += byteLengthOf.call(blob)
    }
    this.#texts.length = 0
    this.#blobs.length = 0
    return end - address
  }
}

/** Returns a typed array's true length in bytes: a property of the object may say another one. */
const byteLengthOf = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), 'byteLength')
  ?.get as (this: Uint8Array) => number

/** The largest number of parameters of a statement, by SQLite's default. */
const maxParameters = 32_766

function checkedCount(count: number): number {
  if (count <= maxParameters) return count
  throw invalid(`A statement has at most 32,766 parameters, and ${count} were given`, {
    details: { given: count },
    hint: 'Use runMany for many rows, or json_each(?) for a long list',
  })
}

/** Returns the simplest value that SQLite stores in the same way; undefined when the value can't be bound. */
export function plainValue(value: unknown): null | number | bigint | string | Uint8Array | undefined {
  switch (typeof value) {
    case 'string':
      return value
    case 'boolean':
      return value ? 1 : 0
    case 'number':
      return Number.isFinite(value) ? value : undefined
    case 'bigint':
      return value === BigInt.asIntN(64, value) ? value : undefined
    case 'object':
      if (value === null) return null
      // By brand, not by instanceof: values may come from another realm.
      if (isA(value, 'Uint8Array')) return ArrayBuffer.isView(value) && !isDetached(value) ? value : undefined
      if (isA(value, 'ArrayBuffer')) return isDetached(value) ? undefined : new Uint8Array(value)
      if (isA(value, 'Date')) return Number.isNaN(value.getTime()) ? undefined : value.toISOString()
  }
  return undefined
}

/** Returns an upper bound of a text's bytes in UTF-8: exact for large texts, where three bytes a unit would waste memory. */
function utf8Bound(text: string): number {
  if (text.length < 1 << 20) return text.length * 3
  let bytes = text.length
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    if (unit > 0x7ff) bytes += 2
    else if (unit > 0x7f) bytes += 1
  }
  return bytes
}

function namedParams(params: unknown, row: number | undefined): Readonly<Record<string, SqlValue>> {
  if (Array.isArray(params)) throw badRow(params, row, 'a plain object, like the first row')
  if (!isPlain(params)) throw badRow(params, row, 'an array for ? or a plain object for :name')
  return params as Readonly<Record<string, SqlValue>>
}

function parameterNames(keys: readonly string[]): string {
  const names = keys.map((key) => (/^[:@$]/.test(key) ? key.slice(1) : key))
  for (const name of names) {
    if (name === '' || name.includes('\0')) throw invalid('A parameter name must not be empty or contain NUL')
  }
  if (new Set(names).size !== names.length)
    throw invalid(`A parameter is given twice: ${names.join(', ')}`, {
      hint: 'One name may have several prefixes in the statement, and is given once, without',
    })
  return names.join('\0')
}

function badRow(params: unknown, row: number | undefined, want: string): Error {
  const what = row === undefined ? 'The parameters' : `The parameters of row ${row + 1}`
  const got = Array.isArray(params) ? `an array of ${params.length}` : `${kindOf(params)}`
  const isValue = typeof params !== 'object' || params === null
  return invalid(`${what} must be ${want}; got ${got}`, {
    details: row === undefined ? {} : { row: row + 1 },
    hint: isValue && row === undefined ? 'Pass the parameters as one array: [a, b]' : undefined,
  })
}

/** `invalid_argument` for a value that can't be bound; the message never shows the value. */
function badValue(value: unknown, parameter: number | string, row: number | undefined): Error {
  const where = `Parameter ${typeof parameter === 'number' ? parameter : `'${parameter}'`}${row === undefined ? '' : ` of row ${row + 1}`}`
  const details = row === undefined ? { parameter } : { parameter, row: row + 1 }
  if (typeof value === 'bigint') {
    return invalid(`${where} is a bigint beyond 64 bits`, { details, hint: 'Store it as text' })
  }
  const hint =
    value === undefined
      ? 'Use null for SQL NULL'
      : value instanceof AbortSignal
        ? 'Options come after the parameters: pass [] for none'
        : Array.isArray(value)
          ? `In sql\`...\` an array becomes a list: IN (\${[1, 2]}). To store it, use JSON.stringify`
          : 'Bind null, a boolean, a finite number, a bigint, a string, a Uint8Array, an ArrayBuffer or a valid Date; JSON.stringify the rest'
  return invalid(`${where} can't be bound: it is ${kindOf(value)}`, { details, hint })
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (typeof value === 'number') return Number.isNaN(value) ? 'NaN' : Number.isFinite(value) ? 'a number' : 'infinite'
  if (Array.isArray(value)) return 'an array'
  if (typeof value !== 'object') return `a ${typeof value}`
  if (isA(value, 'Date') && Number.isNaN(value.getTime())) return 'an invalid Date'
  if (isDetached(value)) return 'detached: its buffer was transferred'
  return `an object (${Object.prototype.toString.call(value).slice(8, -1)})`
}
