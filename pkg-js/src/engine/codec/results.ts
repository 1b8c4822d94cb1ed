import type { Row, RowMode } from '../../base/values.js'
import type { Core } from '../core.js'
import {
  changesAt,
  flagsAt,
  rowidAt,
  rowsAt,
  shapeAt,
  statementAt,
  textAt,
  textBytesAt,
  wideAt,
  wideBytesAt,
} from './layout.js'
import type { MemorySource } from './memory.js'
import { ResultRows, type ResultTexts, type RowShape } from './result-rows.js'
import { decodeText } from './text.js'

const wroteFlag = 1

/** Creates the shape of rows with these columns. */
function shapeOf(names: readonly string[]): RowShape {
  // A parsed object has exactly the room for its properties, one called __proto__ included; a copy by spread has it, too.
  const template: Row = JSON.parse(`{${names.map((name) => `${JSON.stringify(name)}:null`).join()}}`)
  return { names, template }
}

/** The form of a query's rows; `cursor`: a copied buffer that is decoded on demand, as {@link ResultRows}. */
export type ResultMode = RowMode | 'cursor'

/** Reads the result of the last {@link Core.execute}. Its methods are only valid until the next call into wasm. */
export class Results {
  readonly #source: MemorySource
  readonly #core: Pick<Core, 'columns'>
  readonly #header: number
  readonly #shapes = new Map<number, RowShape>()
  /** Reused for every result that is decoded at once. */
  #reader: ResultRows | undefined
  /** The texts of the result, when the other thread has decoded them. */
  texts: ResultTexts | undefined

  constructor(source: MemorySource, core: Pick<Core, 'columns' | 'header'>) {
    this.#source = source
    this.#core = core
    this.#header = core.header()
  }

  /** Whether the statement wrote something that has to be stored before its promise resolves. */
  wrote(): boolean {
    return (this.#word(flagsAt) & wroteFlag) !== 0
  }

  changes(): number {
    return this.#source.refresh().doubles[(this.#header + changesAt) / 8] as number
  }

  lastInsertRowid(): bigint {
    return this.#source.refresh().longs[(this.#header + rowidAt) / 8] as bigint
  }

  /** The number by which the statement can be run again; 0: none. */
  statement(): number {
    return this.#word(statementAt)
  }

  /** The id of the list of column names; meaningless without rows. */
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

  /** Returns a cursor over the rows, for a memory that the next result doesn't overwrite. */
  cursor(): ResultRows {
    const shape = this.shape()
    return new ResultRows(this.#source.refresh(), this.#header, shape, this.texts)
  }

  #read(): ResultRows {
    const shape = this.shape()
    const areas = this.#source.refresh()
    this.#reader ??= new ResultRows(areas, this.#header, shape)
    return this.#reader.reset(areas, this.#header, shape, this.texts)
  }

  /**
   * Decodes the texts, to send them to another thread as strings: copying them takes that thread a fraction of the time of decoding.
   * Undefined when they are too short to be worth it, or may exceed the longest string.
   */
  decodedTexts(): ResultTexts | undefined {
    const length = this.#word(textBytesAt)
    const wideLength = this.#word(wideBytesAt)
    if (length + wideLength < leastDecoded || length + wideLength > mostDecoded) return undefined
    const { bytes } = this.#source.refresh()
    const at = this.#word(textAt)
    const wideStart = this.#word(wideAt)
    return [decodeText(bytes, at, at + length), decodeText(bytes, wideStart, wideStart + wideLength)]
  }

  /** Returns the shape of the rows. May call into wasm. */
  shape(): RowShape {
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

/** Bytes of text from which a message carries strings of their own, and up to which strings can hold them in every browser. */
const [leastDecoded, mostDecoded] = [2048, 2 ** 26]
