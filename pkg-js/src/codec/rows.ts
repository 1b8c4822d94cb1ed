import { type Core, tag } from '../core.js'
import { TidelockError } from '../errors.js'
import type { Row, SqlResultValue } from '../values.js'
import type { Views } from './memory.js'

// Word indexes in the result header.
const rowsAt = 0
const columnsAt = 1
const shapeAt = 2
const tagsAt = 3
const slotsAt = 4
const textAt = 5
const textBytesAt = 6
const blobAt = 7
const flagsAt = 9
const changesAt = 48
const rowidAt = 56

const wroteFlag = 1

/** A list of column names, and an object of their shape to copy for each row. */
interface Shape {
  readonly names: readonly string[]
  readonly template: Row
}

/** Reads the result of the last {@link Core.execute} out of wasm memory. Each method must be called before the next call into wasm. */
export class Results {
  readonly #views: Views
  readonly #core: Pick<Core, 'columns'>
  readonly #header: number
  readonly #shapes = new Map<number, Shape>()
  // A byte order mark at the start of a value is data.
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true })

  constructor(views: Views, core: Pick<Core, 'columns' | 'header'>) {
    this.#views = views
    this.#core = core
    this.#header = core.header()
  }

  /** Whether the statement wrote, so that its promise has to wait until that is stored. */
  wrote(): boolean {
    return ((this.#views.refresh().words[this.#header / 4 + flagsAt] as number) & wroteFlag) !== 0
  }

  changes(): number {
    return this.#views.refresh().doubles[(this.#header + changesAt) / 8] as number
  }

  lastInsertRowid(): bigint {
    return this.#views.refresh().longs[(this.#header + rowidAt) / 8] as bigint
  }

  /** The rows as plain objects of one fixed shape. */
  objects(): Row[] {
    const header = this.#header / 4
    const count = this.#views.refresh().words[header + rowsAt] as number
    if (count === 0) return []
    const { names, template } = this.#shape(this.#views.words[header + shapeAt] as number)
    const { bytes, words, doubles, longs } = this.#views.refresh()
    const columns = words[header + columnsAt] as number
    const tags = words[header + tagsAt] as number
    const slots = (words[header + slotsAt] as number) / 8
    const text = this.#text(bytes, words[header + textAt] as number, words[header + textBytesAt] as number)
    let blob = words[header + blobAt] as number
    const rows: Row[] = new Array(count)
    let cell = 0
    let at = 0
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
    return rows
  }

  /** The rows as arrays, in the order of the columns. */
  arrays(): SqlResultValue[][] {
    const header = this.#header / 4
    const { bytes, words, doubles, longs } = this.#views.refresh()
    const count = words[header + rowsAt] as number
    const columns = words[header + columnsAt] as number
    const tags = words[header + tagsAt] as number
    const slots = (words[header + slotsAt] as number) / 8
    const text = this.#text(bytes, words[header + textAt] as number, words[header + textBytesAt] as number)
    let blob = words[header + blobAt] as number
    const rows: SqlResultValue[][] = new Array(count)
    let cell = 0
    let at = 0
    for (let row = 0; row < count; row++) {
      const values: SqlResultValue[] = new Array(columns)
      for (let column = 0; column < columns; column++, cell++) {
        const slot = doubles[slots + cell] as number
        switch (bytes[tags + cell]) {
          case tag.integer:
          case tag.real:
            values[column] = slot
            break
          case tag.text:
            values[column] = text.substring(at, at + slot)
            at += slot
            break
          case tag.blob:
            values[column] = bytes.slice(blob, blob + slot)
            blob += slot
            break
          case tag.bigint:
            values[column] = longs[slots + cell] as bigint
            break
          default:
            values[column] = null
        }
      }
      rows[row] = values
    }
    return rows
  }

  #shape(id: number): Shape {
    let shape = this.#shapes.get(id)
    if (shape === undefined) {
      const names = this.#core.columns(id)
      const template: Row = {}
      // Defined, not assigned: a column may be called __proto__. A copy by spread keeps it an ordinary property.
      for (const name of names) {
        Object.defineProperty(template, name, { value: null, writable: true, enumerable: true, configurable: true })
      }
      shape = { names, template }
      this.#shapes.set(id, shape)
    }
    return shape
  }

  #text(bytes: Uint8Array<ArrayBuffer>, start: number, length: number): string {
    if (length === 0) return ''
    if (length <= 24) {
      // For a few ASCII bytes the call into the decoder costs more than the bytes do.
      let text = ''
      let at = start
      const end = start + length
      for (; at < end; at++) {
        const byte = bytes[at] as number
        if (byte > 127) break
        text += String.fromCharCode(byte)
      }
      if (at === end) return text
    }
    let text = ''
    let cause: unknown
    try {
      text = this.#decoder.decode(bytes.subarray(start, start + length))
    } catch (error) {
      cause = error
    }
    // For a text that is longer than a string may be, some browsers throw one error or another; Chromium gives an empty one.
    if (text === '') {
      throw new TidelockError('out_of_memory', 'The texts of this result are longer than a string can be', {
        hint: 'Read fewer rows at once',
        cause,
      })
    }
    return text
  }
}
