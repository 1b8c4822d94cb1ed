import { tag } from '../core.js'
import type { Columns, Row, RowMode, SqlResultValue } from '../values.js'
import type { Areas } from './memory.js'
import { decodeText } from './text.js'

// Word indexes in the header of a result; addresses are in bytes.
const rowsAt = 0
const columnsAt = 1
const shapeAt = 2
const tagsAt = 3
const slotsAt = 4
const textAt = 5
const textBytesAt = 6
const wideAt = 7
const wideBytesAt = 8
const blobAt = 9
const blobBytesAt = 10
const flagsAt = 11
const statementAt = 12
const changesAt = 56
const rowidAt = 64
const headerBytes = 72

const wroteFlag = 1

/** A list of column names, and an object of their shape to copy for each row. */
export interface Shape {
  readonly names: readonly string[]
  readonly template: Row
}

/** The shape of rows with these columns. */
export function shapeOf(names: readonly string[]): Shape {
  const template: Row = {}
  // Defined, not assigned: a column may be called __proto__. A copy by spread keeps it an ordinary property.
  for (const name of names) {
    Object.defineProperty(template, name, { value: null, writable: true, enumerable: true, configurable: true })
  }
  return { names, template }
}

/** Whether the statement wrote, so that its promise has to wait until that is stored. */
export function wrote(areas: Areas, header: number): boolean {
  return ((areas.words[header / 4 + flagsAt] as number) & wroteFlag) !== 0
}

export function changes(areas: Areas, header: number): number {
  return areas.doubles[(header + changesAt) / 8] as number
}

export function lastInsertRowid(areas: Areas, header: number): bigint {
  return areas.longs[(header + rowidAt) / 8] as bigint
}

/** The number by which the statement can be run again; 0: it has none. */
export function statementId(areas: Areas, header: number): number {
  return areas.words[header / 4 + statementAt] as number
}

/** The number of its list of column names; meaningless without rows. */
export function shapeId(areas: Areas, header: number): number {
  return areas.words[header / 4 + shapeAt] as number
}

/** How many rows there are. */
export function rowCount(areas: Areas, header: number): number {
  return areas.words[header / 4 + rowsAt] as number
}

/**
 * A result in a buffer of its own, with its header at 0: the same to read as in wasm memory, where the next call overwrites it. To be
 * decoded later, or by another thread.
 */
export function copyResult(areas: Areas, header: number): ArrayBuffer {
  const { bytes, words } = areas
  const at = header / 4
  const cells = (words[at + rowsAt] as number) * (words[at + columnsAt] as number)
  // Slots first: they must lie at a multiple of 8.
  const parts = [
    [slotsAt, cells * 8],
    [tagsAt, cells],
    [textAt, words[at + textBytesAt] as number],
    [wideAt, words[at + wideBytesAt] as number],
    [blobAt, words[at + blobBytesAt] as number],
  ] as const
  const total = parts.reduce((sum, [, length]) => sum + length, headerBytes)
  const buffer = new ArrayBuffer(Math.ceil(total / 8) * 8)
  const copy = new Uint8Array(buffer)
  copy.set(bytes.subarray(header, header + headerBytes))
  const copiedWords = new Uint32Array(buffer, 0, headerBytes / 4)
  let end = headerBytes
  for (const [index, length] of parts) {
    const start = words[at + index] as number
    copy.set(bytes.subarray(start, start + length), end)
    copiedWords[index] = end
    end += length
  }
  return buffer
}

/** Goes through the rows of a result, slice by slice or all at once. In wasm memory it lasts until the next call into wasm. */
export class Rows {
  readonly #areas: Areas
  readonly #shape: Shape
  readonly #columns: number
  /** The rows that are left. */
  left: number
  #tag: number
  #slot: number
  #text: number
  readonly #textEnd: number
  #wide: number
  readonly #wideEnd: number
  #blob: number

  constructor(areas: Areas, header: number, shape: Shape) {
    const { words } = areas
    const at = header / 4
    this.#areas = areas
    this.#shape = shape
    this.left = words[at + rowsAt] as number
    this.#columns = words[at + columnsAt] as number
    this.#tag = words[at + tagsAt] as number
    this.#slot = (words[at + slotsAt] as number) / 8
    this.#text = words[at + textAt] as number
    this.#textEnd = this.#text + (words[at + textBytesAt] as number)
    this.#wide = words[at + wideAt] as number
    this.#wideEnd = this.#wide + (words[at + wideBytesAt] as number)
    this.#blob = words[at + blobAt] as number
  }

  /** All that are left. */
  all(mode: RowMode): unknown[] | Columns {
    if (mode === 'object') return this.objects(this.left)
    return mode === 'array' ? this.arrays(this.left) : this.columns()
  }

  /** The next rows as plain objects of one fixed shape. */
  objects(count: number): Row[] {
    const { bytes, doubles, longs } = this.#areas
    const { names, template } = this.#shape
    const columns = this.#columns
    const [text, wide] = this.#texts(count)
    const tags = this.#tag
    const slots = this.#slot
    let blob = this.#blob
    const rows: Row[] = new Array(count)
    let cell = 0
    let at = 0
    let wideAt = 0
    for (let row = 0; row < count; row++) {
      const object: Row = { ...template }
      for (let column = 0; column < columns; column++, cell++) {
        let value: SqlResultValue
        switch (bytes[tags + cell]) {
          case tag.integer:
          case tag.real:
            value = doubles[slots + cell] as number
            break
          case tag.text: {
            const end = at + (doubles[slots + cell] as number)
            value = text.substring(at, end)
            at = end
            break
          }
          case tag.wide: {
            const end = wideAt + (doubles[slots + cell] as number)
            value = wide.substring(wideAt, end)
            wideAt = end
            break
          }
          case tag.blob: {
            const end = blob + (doubles[slots + cell] as number)
            value = bytes.slice(blob, end)
            blob = end
            break
          }
          case tag.bigint:
            value = longs[slots + cell] as bigint
            break
          default:
            value = null
        }
        object[names[column] as string] = value
      }
      rows[row] = object
    }
    this.#advance(count, cell, blob)
    return rows
  }

  /** The next rows as arrays, in the order of the columns. */
  arrays(count: number): SqlResultValue[][] {
    const rows: SqlResultValue[][] = new Array(count)
    for (let row = 0; row < count; row++) rows[row] = new Array(this.#columns)
    this.#each(count, (row, column, value) => {
      ;(rows[row] as SqlResultValue[])[column] = value
    })
    return rows
  }

  /** All that are left, column by column. */
  columns(): Columns {
    const { bytes, doubles, longs } = this.#areas
    const rows = this.left
    const columns = this.#columns
    const values = this.#shape.names.map((_, column) => {
      const first = bytes[this.#tag + column]
      const kind = first === tag.bigint ? first : tag.real
      for (let row = 0; row < rows; row++) {
        const found = bytes[this.#tag + row * columns + column]
        if ((found === tag.integer ? tag.real : found) !== kind) return new Array<SqlResultValue>(rows)
      }
      if (rows === 0) return []
      const numbers = kind === tag.bigint ? new BigInt64Array(rows) : new Float64Array(rows)
      const from = kind === tag.bigint ? longs : doubles
      for (let row = 0; row < rows; row++) numbers[row] = from[this.#slot + row * columns + column] as never
      return numbers
    })
    if (values.some(Array.isArray)) {
      this.#each(rows, (row, column, value) => {
        const list = values[column]
        if (Array.isArray(list)) list[row] = value
      })
    }
    return { columns: [...this.#shape.names], rows, values }
  }

  #each(count: number, take: (row: number, column: number, value: SqlResultValue) => void): void {
    const { bytes, doubles, longs } = this.#areas
    const columns = this.#columns
    const [text, wide] = this.#texts(count)
    const tags = this.#tag
    const slots = this.#slot
    let blob = this.#blob
    let cell = 0
    let at = 0
    let wideAt = 0
    for (let row = 0; row < count; row++) {
      for (let column = 0; column < columns; column++, cell++) {
        const slot = doubles[slots + cell] as number
        switch (bytes[tags + cell]) {
          case tag.integer:
          case tag.real:
            take(row, column, slot)
            break
          case tag.text:
            take(row, column, text.substring(at, at + slot))
            at += slot
            break
          case tag.wide:
            take(row, column, wide.substring(wideAt, wideAt + slot))
            wideAt += slot
            break
          case tag.blob:
            take(row, column, bytes.slice(blob, blob + slot))
            blob += slot
            break
          case tag.bigint:
            take(row, column, longs[slots + cell] as bigint)
            break
          default:
            take(row, column, null)
        }
      }
    }
    this.#advance(count, cell, blob)
  }

  #advance(rows: number, cells: number, blob: number): void {
    this.left -= rows
    this.#tag += cells
    this.#slot += cells
    this.#blob = blob
  }

  /** The texts of the next rows, joined: those in ASCII and the others. */
  #texts(count: number): [string, string] {
    const { bytes } = this.#areas
    let textEnd = this.#textEnd
    let wideEnd = this.#wideEnd
    if (count < this.left) {
      const [units, wideUnits] = this.#units(count)
      textEnd = this.#text + units
      wideEnd = endOf(bytes, this.#wide, wideUnits)
    }
    const text = decodeText(bytes, this.#text, textEnd)
    const wide = decodeText(bytes, this.#wide, wideEnd)
    this.#text = textEnd
    this.#wide = wideEnd
    return [text, wide]
  }

  /** How long the texts of the next rows are, in UTF-16 units. */
  #units(count: number): [number, number] {
    const { bytes, doubles } = this.#areas
    let text = 0
    let wide = 0
    for (let cell = 0; cell < count * this.#columns; cell++) {
      const kind = bytes[this.#tag + cell]
      if (kind === tag.text) text += doubles[this.#slot + cell] as number
      else if (kind === tag.wide) wide += doubles[this.#slot + cell] as number
    }
    return [text, wide]
  }
}

/** Where so many UTF-16 units of UTF-8 end. */
function endOf(bytes: Uint8Array, start: number, units: number): number {
  let at = start
  for (let left = units; left > 0; ) {
    const byte = bytes[at] as number
    if (byte < 0x80) at += 1
    else if (byte < 0xe0) at += 2
    else if (byte < 0xf0) at += 3
    else {
      at += 4
      left--
    }
    left--
  }
  return at
}
