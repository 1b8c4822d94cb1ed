import type { Row, RowMode, SqlResultValue } from '../../base/values.js'
import { type Core, tag } from '../core.js'
import type { Areas, Source } from './memory.js'
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
  // Parsed, because such an object has exactly the room for its properties, also for one called __proto__; a copy by spread has it too.
  const template: Row = JSON.parse(`{${names.map((name) => `${JSON.stringify(name)}:null`).join()}}`)
  return { names, template }
}

/** How the rows of a query are to come; `cursor`: in a buffer of their own, to be decoded when they are wanted, as {@link Rows}. */
export type Mode = RowMode | 'cursor'

/** Reads the result of the last {@link Core.execute}. Each method must be called before the next call into wasm. */
export class Results {
  readonly #source: Source
  readonly #core: Pick<Core, 'columns'>
  readonly #header: number
  readonly #shapes = new Map<number, Shape>()
  /** Used again for every result that is read at once. */
  #reader: Rows | undefined
  /** The texts of the result, where they came decoded. */
  texts: Texts | undefined

  constructor(source: Source, core: Pick<Core, 'columns' | 'header'>) {
    this.#source = source
    this.#core = core
    this.#header = core.header()
  }

  /** Whether the statement wrote what is to be stored, so that its promise may have to wait for that. */
  wrote(): boolean {
    return (this.#word(flagsAt) & wroteFlag) !== 0
  }

  changes(): number {
    return this.#source.refresh().doubles[(this.#header + changesAt) / 8] as number
  }

  lastInsertRowid(): bigint {
    return this.#source.refresh().longs[(this.#header + rowidAt) / 8] as bigint
  }

  /** The number by which the statement can be run again; 0: it has none. */
  statement(): number {
    return this.#word(statementAt)
  }

  /** The number of its list of column names; of no meaning without rows. */
  shapeId(): number {
    return this.#word(shapeAt)
  }

  /** The first row as an object. */
  first(): Row | undefined {
    return this.#word(rowsAt) === 0 ? undefined : this.#read().objects(1)[0]
  }

  /** All rows. */
  rows(mode: RowMode): unknown[] {
    return this.#word(rowsAt) === 0 ? [] : this.#read().all(mode)
  }

  /** To go through the rows, in areas that the next result leaves alone. */
  cursor(): Rows {
    const shape = this.shape()
    return new Rows(this.#source.refresh(), this.#header, shape, this.texts)
  }

  #read(): Rows {
    const shape = this.shape()
    const areas = this.#source.refresh()
    this.#reader ??= new Rows(areas, this.#header, shape)
    return this.#reader.reset(areas, this.#header, shape, this.texts)
  }

  /**
   * The texts, decoded, to go to another thread as strings: that one copies them, where decoding would take it several times as long.
   * Undefined when there are few, or so many that strings might not hold them.
   */
  decodedTexts(): Texts | undefined {
    const length = this.#word(textBytesAt)
    const wideLength = this.#word(wideBytesAt)
    if (length + wideLength < leastDecoded || length + wideLength > mostDecoded) return undefined
    const { bytes } = this.#source.refresh()
    const at = this.#word(textAt)
    const wideStart = this.#word(wideAt)
    return [decodeText(bytes, at, at + length), decodeText(bytes, wideStart, wideStart + wideLength)]
  }

  /** Its columns. May call into wasm. */
  shape(): Shape {
    const id = this.shapeId()
    let shape = this.#shapes.get(id)
    if (shape === undefined) {
      shape = shapeOf(this.#core.columns(id))
      this.#shapes.set(id, shape)
    }
    return shape
  }

  #word(index: number): number {
    return this.#source.refresh().words[this.#header / 4 + index] as number
  }
}

/** Bytes of texts that are worth strings of their own in a message, and that strings hold in every browser. */
const [leastDecoded, mostDecoded] = [2048, 2 ** 26]

/** All texts of a result, joined: those in ASCII, and the others. */
export type Texts = readonly [string, string]

/** Where the words are that {@link copyResult} needs, and how long a header is. */
export const layout = {
  rowsAt,
  shapeAt,
  columnsAt,
  tagsAt,
  slotsAt,
  textAt,
  textBytesAt,
  wideAt,
  wideBytesAt,
  blobAt,
  blobBytesAt,
  headerBytes,
} as const

/** Goes through the rows of a result, slice by slice or all at once. In wasm memory it lasts until the next call into wasm. */
export class Rows {
  #areas: Areas
  #shape: Shape
  #columns = 0
  /** The rows that are left. */
  left = 0
  #tag = 0
  #slot = 0
  #text = 0
  #textEnd = 0
  #wide = 0
  #wideEnd = 0
  #blob = 0
  /** All texts, once they are decoded together, and how far in them the rows have come. */
  #joined: Texts | undefined
  #at = 0
  #wideAt = 0
  /** The texts that come again. */
  #known: string[] = []

  constructor(areas: Areas, header: number, shape: Shape, texts?: Texts) {
    this.#areas = areas
    this.#shape = shape
    this.reset(areas, header, shape, texts)
  }

  /** Begins at the first row of another result, whose texts may be decoded already. */
  reset(areas: Areas, header: number, shape: Shape, texts?: Texts): this {
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
    this.#joined = texts
    this.#at = 0
    this.#wideAt = 0
    if (this.#known.length > 0) this.#known = []
    return this
  }

  /** How many columns they have. */
  get width(): number {
    return this.#columns
  }

  /** Decodes all texts at once: cheaper than slice by slice, for rows that are all wanted soon. */
  decodeTexts(): void {
    this.#joined ??= this.#texts(this.left)
  }

  /** All that are left. */
  all(mode: RowMode): unknown[] {
    return mode === 'object' ? this.objects(this.left) : this.arrays(this.left)
  }

  /** The next rows as plain objects of one fixed shape, in an array from a place on. */
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

  /** The next rows as arrays, in the order of the columns, in an array from a place on. */
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
    this.left -= rows
    if (this.left === 0 && this.#known.length > 0) this.#known = []
    this.#tag += cells
    this.#slot += cells
    this.#blob = blob
  }

  /** The texts of the next rows, joined: those in ASCII and the others. */
  #texts(count: number): Texts {
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
      if (kind === tag.text || kind === tag.newText) text += doubles[this.#slot + cell] as number
      else if (kind === tag.wide || kind === tag.newWide) wide += doubles[this.#slot + cell] as number
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
