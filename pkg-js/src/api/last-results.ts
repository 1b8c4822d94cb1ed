import { reading } from '../base/check.js'
import { TidelockError } from '../base/errors.js'
import type { StorageKind } from '../base/generated-types.js'
import type { RowMode } from '../base/values.js'
import { nodeFiles } from '../node/load.js'
import { changeRecord, readRecord } from './last-records.js'
import type { LiveWindow } from './live-window.js'

// The results with which live queries begin under the option `initial`. They are stored with their database, but not in it: where the page
// can read them without an engine. An encrypted database has none.

/** Where a database is stored. */
export interface ResultsPlace {
  readonly storage: StorageKind
  readonly name: string
  readonly path?: string | undefined
}

/** What a result belongs to. */
export interface QueryIdentity {
  readonly sql: string
  readonly params: unknown
  readonly mode: RowMode
  readonly window: LiveWindow | undefined
}

/** A result of a live query. */
export interface LastResult {
  readonly rows: readonly unknown[]
  readonly total: number
}

/** Results by the keys of their queries, the oldest first. */
type KeyedResults = Map<string, LastResult>

/** How often results are stored at most, in milliseconds; also when the page is hidden, and when the database is closed. */
const pauseMs = 5000
/** The sizes in bytes, estimated, of one result and of all. */
const maxResult = 256 * 1024
const maxAll = 1024 * 1024

/** Reads and stores the last results of one database. What fails is as if there were no results: the query itself runs in any case. */
export class LastResults {
  readonly #place: ResultsPlace
  /** Whether results may be stored: the database isn't encrypted, and its lock not lost. */
  readonly #mayStore: () => boolean
  #stored: Promise<KeyedResults> | undefined
  readonly #unsaved: KeyedResults = new Map()
  #timer: ReturnType<typeof setTimeout> | undefined
  #saving: Promise<void> = Promise.resolve()
  #closed = false

  constructor(place: ResultsPlace, mayStore: () => boolean) {
    this.#place = place
    this.#mayStore = mayStore
  }

  /** Returns the last result of a query. */
  async find(query: QueryIdentity): Promise<LastResult | undefined> {
    const key = keyOf(query)
    this.#stored ??= this.#read()
    return this.#unsaved.get(key) ?? (await this.#stored).get(key)
  }

  /** Takes note of a result, which is stored soon. */
  keep(query: QueryIdentity, result: LastResult): void {
    if (!isKept(this.#place) || this.#closed) return
    this.#unsaved.set(keyOf(query), result)
    if (this.#timer !== undefined) return
    const timer = setTimeout(() => this.save(), pauseMs)
    this.#timer = timer
    // In Node a timer is an object, which would keep the process running.
    if (typeof timer === 'object') (timer as { unref(): void }).unref()
    if (typeof document !== 'undefined') document.addEventListener('visibilitychange', this.#onVisibility)
  }

  /** Stores what was kept. Never rejects. */
  save(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (typeof document !== 'undefined') document.removeEventListener('visibilitychange', this.#onVisibility)
    const unsaved = new Map(this.#unsaved)
    this.#unsaved.clear()
    if (unsaved.size > 0 && this.#mayStore()) {
      this.#saving = this.#saving.then(() => this.#change((stored) => merged(stored, unsaved))).catch(() => {})
    }
    return this.#saving
  }

  /** Stores what was kept, and nothing later. Never rejects. */
  close(): Promise<void> {
    this.#closed = true
    return this.save()
  }

  /** Removes all results. Rejects with `storage_unavailable` when that fails. */
  async clear(): Promise<void> {
    this.#unsaved.clear()
    this.#stored = Promise.resolve(new Map())
    await this.#saving
    try {
      await this.#change(() => undefined)
    } catch (cause) {
      throw new TidelockError('storage_unavailable', "The stored results of live queries can't be removed", {
        hint: 'Try again; cause is the error of the storage',
        cause,
      })
    }
  }

  readonly #onVisibility = () => {
    if (document.visibilityState === 'hidden') void this.save()
  }

  async #read(): Promise<KeyedResults> {
    const { storage, path } = this.#place
    try {
      if (storage === 'file') return resultsOf((await nodeFiles()).readLastResults(path as string))
      return isKept(this.#place) ? resultsOf(await readRecord(this.#place)) : new Map()
    } catch {
      return new Map()
    }
  }

  async #change(next: (stored: KeyedResults) => KeyedResults | undefined): Promise<void> {
    const { storage, path } = this.#place
    if (!isKept(this.#place)) return
    if (storage !== 'file') return changeRecord(this.#place, (stored) => next(resultsOf(stored)))
    const { readLastResults, writeLastResults } = await nodeFiles()
    // The module was loaded meanwhile.
    const results = next(resultsOf(readLastResults(path as string)))
    writeLastResults(path as string, this.#mayStore() ? results : undefined)
  }
}

/** Returns whether results of databases in this storage are stored. */
function isKept({ storage }: ResultsPlace): boolean {
  return storage !== 'memory'
}

/** Returns the key of a query: queries that are written in the same way, with the same parameters, have one. */
function keyOf({ sql, params, mode, window }: QueryIdentity): string {
  const plain = (_: string, value: unknown) => {
    if (typeof value === 'bigint') return { bigint: String(value) }
    if (value instanceof ArrayBuffer) return { bytes: [...new Uint8Array(value)] }
    return ArrayBuffer.isView(value)
      ? { bytes: [...new Uint8Array(value.buffer, value.byteOffset, value.byteLength)] }
      : value
  }
  return reading('The parameters', () =>
    JSON.stringify([sql, params ?? [], mode, window?.limit, window?.offset], plain),
  )
}

/** Returns stored results; those that don't have their form are left out. */
function resultsOf(stored: unknown): KeyedResults {
  const entries = stored instanceof Map ? [...stored] : []
  return new Map(
    entries.filter(
      ([key, one]) => typeof key === 'string' && Array.isArray(one?.rows) && typeof one.total === 'number',
    ),
  )
}

/** Returns the results with the newer ones last, and without the oldest where they become too many. */
function merged(stored: KeyedResults, newer: KeyedResults): KeyedResults {
  const results: KeyedResults = new Map(stored)
  for (const [key, result] of newer) {
    results.delete(key)
    if (sizeOf(key, result) <= maxResult) results.set(key, result)
  }
  let left = maxAll
  const fitting = [...results].reverse().filter(([key, result]) => {
    left -= sizeOf(key, result)
    return left >= 0
  })
  return new Map(fitting.reverse())
}

/** Returns about how many bytes a result takes; of a large one only that it is too large. */
function sizeOf(key: string, { rows }: LastResult): number {
  let size = key.length * 2
  for (const row of rows) {
    for (const value of Object.values(row as object)) {
      size += 8
      if (typeof value === 'string') size += value.length * 2
      else if (value instanceof Uint8Array) size += value.byteLength
    }
    if (size > maxResult) return size
  }
  return size
}
