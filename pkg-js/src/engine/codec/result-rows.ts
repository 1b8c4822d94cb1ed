import type { Row, RowMode, SqlResultValue } from '../../base/values.js'
import { tag } from '../core.js'
import { blobAt, columnsAt, rowsAt, slotsAt, tagsAt, textAt, textBytesAt, wideAt, wideBytesAt } from './layout.js'
import type { MemoryViews } from './memory.js'
import { decodeText } from './text.js'

/** The column names of a result, and an object with these properties to copy for each row. */
export interface RowShape {
  readonly names: readonly string[]
  readonly template: Row
}

/** All texts of a result, joined: the ASCII ones, and the others. */
export type ResultTexts = readonly [string, string]

/** Decodes the rows of a result, slice by slice or all at once. Over wasm memory, it is valid until the next call into wasm. */
export class ResultRows {
  #areas: MemoryViews
  #shape: RowShape
  #columns = 0
  /** The number of rows not decoded yet. */
  remaining = 0
  #tag = 0
  #slot = 0
  #text = 0
  #textEnd = 0
  #wide = 0
  #wideEnd = 0
  #blob = 0
  /** All texts, once they are decoded together, and the position of the next row in them. */
  #joined: ResultTexts | undefined
  #at = 0
  #wideAt = 0
  /** The texts that later cells refer to by number. */
  #known: string[] = []

  constructor(areas: MemoryViews, header: number, shape: RowShape, texts?: ResultTexts) {
    this.#areas = areas
    this.#shape = shape
    this.reset(areas, header, shape, texts)
  }

  /** Starts at the first row of another result, whose texts may be decoded already. */
  reset(areas: MemoryViews, header: number, shape: RowShape, texts?: ResultTexts): this {
    const { words } = areas
    const at = header / 4
    this.#areas = areas
    this.#shape = shape
    this.remaining = words[at + rowsAt] as number
    this.#columns = words[at + columnsAt] as number
    this.#tag = words[at + tagsAt] as number
    this.#slot = (words[at + slotsAt] as number) / 8
    this.#text = words[at + textAt] as number
    this.#textEnd = this.#text + (words[at + textBytesAt] as number)
    this.#wide = words[at + wideAt] as number
    this.#wideEnd = this.#wide + (words[at + wideBytesAt] as number)
    this.#blob = words[at + blobAt] as number
    this.#joined = texts
    this.#at = 0
    this.#wideAt = 0
    if (this.#known.length > 0) this.#known = []
    return this
  }

  /** The number of columns. */
  get width(): number {
    return this.#columns
  }

  /** Decodes all texts at once, which is cheaper than slice by slice when all rows are decoded soon. */
  decodeTexts(): void {
    this.#joined ??= this.#texts(this.remaining)
  }

  /** Decodes all remaining rows. */
  all(mode: RowMode): unknown[] {
    return mode === 'object' ? this.objects(this.remaining) : this.arrays(this.remaining)
  }

  /** Decodes the next rows as plain objects of one shape, into an array from an index on. */
  objects(count: number, rows: Row[] = new Array(count), from = 0): Row[] {
    const { bytes, doubles, longs } = this.#areas
    const { names, template } = this.#shape
    const columns = this.#columns
    const [text, wide] = this.#joined ?? this.#texts(count)
    const known = this.#known
    const tags = this.#tag
    const slots = this.#slot
    let blob = this.#blob
    let cell = 0
    let at = this.#at
    let wideAt = this.#wideAt
    const end = from + count
    for (let row = from; row < end; row++) {
      const object: Row = { ...template }
      for (let column = 0; column < columns; column++, cell++) {
        let value: SqlResultValue
        const kind = bytes[tags + cell]
        switch (kind) {
          case tag.integer:
          case tag.real:
            value = doubles[slots + cell] as number
            break
          case tag.text:
          case tag.newText: {
            const end = at + (doubles[slots + cell] as number)
            value = text.substring(at, end)
            if (kind === tag.newText) known.push(value)
            at = end
            break
          }
          case tag.again:
            value = known[doubles[slots + cell] as number] as string
            break
          case tag.wide:
          case tag.newWide: {
            const end = wideAt + (doubles[slots + cell] as number)
            value = wide.substring(wideAt, end)
            if (kind === tag.newWide) known.push(value)
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
    if (this.#joined !== undefined) {
      this.#at = at
      this.#wideAt = wideAt
    }
    return rows
  }

  /** Decodes the next rows as arrays in the order of the columns, into an array from an index on. */
  arrays(count: number, rows: SqlResultValue[][] = new Array(count), from = 0): SqlResultValue[][] {
    for (let row = from; row < from + count; row++) rows[row] = new Array(this.#columns)
    this.#each(count, (row, column, value) => {
      ;(rows[from + row] as SqlResultValue[])[column] = value
    })
    return rows
  }

  #each(count: number, take: (row: number, column: number, value: SqlResultValue) => void): void {
    const { bytes, doubles, longs } = this.#areas
    const columns = this.#columns
    const [text, wide] = this.#joined ?? this.#texts(count)
    const known = this.#known
    const tags = this.#tag
    const slots = this.#slot
    let blob = this.#blob
    let cell = 0
    let at = this.#at
    let wideAt = this.#wideAt
    for (let row = 0; row < count; row++) {
      for (let column = 0; column < columns; column++, cell++) {
        const slot = doubles[slots + cell] as number
        const kind = bytes[tags + cell]
        switch (kind) {
          case tag.integer:
          case tag.real:
            take(row, column, slot)
            break
          case tag.text:
          case tag.newText: {
            const value = text.substring(at, at + slot)
            if (kind === tag.newText) known.push(value)
            take(row, column, value)
            at += slot
            break
          }
          case tag.wide:
          case tag.newWide: {
            const value = wide.substring(wideAt, wideAt + slot)
            if (kind === tag.newWide) known.push(value)
            take(row, column, value)
            wideAt += slot
            break
          }
          case tag.again:
            take(row, column, known[slot] as string)
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
    if (this.#joined !== undefined) {
      this.#at = at
      this.#wideAt = wideAt
    }
  }

  #advance(rows: number, cells: number, blob: number): void {
    this.remaining -= rows
    if (this.remaining === 0 && this.#known.length > 0) this.#known = []
    this.#tag += cells
    this.#slot += cells
    this.#blob = blob
  }

  /** Decodes the texts of the next rows, joined. */
  #texts(count: number): ResultTexts {
    const { bytes } = this.#areas
    let textEnd = this.#textEnd
    let wideEnd = this.#wideEnd
    if (count < this.remaining) {
      const [units, wideUnits] = this.#textUnits(count)
      textEnd = this.#text + units
      wideEnd = endOf(bytes, this.#wide, wideUnits)
    }
    const text = decodeText(bytes, this.#text, textEnd)
    const wide = decodeText(bytes, this.#wide, wideEnd)
    this.#text = textEnd
    this.#wide = wideEnd
    return [text, wide]
  }

  /** Returns the lengths of the texts of the next rows, in UTF-16 units. */
  #textUnits(count: number): [number, number] {
    const { bytes, doubles } = this.#areas
    let text = 0
    let wide = 0
    for (let cell = 0; cell < count * this.#columns; cell++) {
      const kind = bytes[this.#tag + cell]
      if (kind === tag.text || kind === tag.newText) text += doubles[this.#slot + cell] as number
      else if (kind === tag.wide || kind === tag.newWide) wide += doubles[this.#slot + cell] as number
    }
    return [text, wide]
  }
}

/** Returns the address after that many UTF-16 units of UTF-8. */
function endOf(bytes: Uint8Array, start: number, units: number): number {
  let at = start
  for (let remaining = units; remaining > 0; ) {
    const byte = bytes[at] as number
    if (byte < 0x80) at += 1
    else if (byte < 0xe0) at += 2
    else if (byte < 0xf0) at += 3
    else {
      at += 4
      remaining--
    }
    remaining--
  }
  return at
}
