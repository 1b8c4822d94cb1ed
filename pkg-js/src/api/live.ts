import { checkFunction, checkOptionsOf } from '../base/check.js'
import { isTidelockError, TidelockError } from '../base/errors.js'
import { yieldToEventLoop } from '../base/event-loop.js'
import { callUser } from '../base/events.js'
import type { MapRows } from '../base/query-builder.js'
import { fragmentParts, type SqlFragment } from '../base/sql.js'
import type { QueryOptions, RowMode, SqlParams } from '../base/values.js'
import { Waiting } from '../base/waiting.js'
import { andThen, type Connection, type MaybePromise } from '../engine/connection.js'
import type { QueryIdentity } from './last-results.js'
import { type LiveChangesOptions, LiveChangesReader } from './live-changes.js'
import type { LiveQueries, LiveQueryInfo } from './live-queries.js'
import { checkWindow, type LiveWindow, noWindow, windowError } from './live-window.js'
import { liveDifference, patched, type RowsDifference, reused } from './rows-difference.js'

/** Options of a live query. */
export interface LiveOptions extends QueryOptions, LiveWindow {
  /**
   * `'last'`: begins with the last known result, which is stored with the database, until the query has run. Results are stored readable:
   * a database with `encryption` or `columnKey` keeps none, nor does one in memory. One of more than 256 KiB isn't kept.
   */
  readonly initial?: 'last' | undefined
  /** Closes the live query. */
  readonly signal?: AbortSignal | undefined
}

/** What a run gave: all rows of the result or of its window, or with a difference only those that are inserted. */
interface LiveRun<T> {
  readonly rows: T[]
  /** The number of rows without the window. */
  readonly total: number
  readonly difference?: RowsDifference | undefined
}

interface Subscriber<T> {
  readonly onRows: (rows: T[]) => unknown
  readonly onError: ((error: TidelockError) => unknown) | undefined
}

/**
 * A query that runs at once, and again when a commit may have changed its result, at most once per commit.
 *
 * Read it as an async iterable or with {@link LiveQuery.subscribe}. A slow reader gets the latest rows, not a backlog. The query pauses when
 * its last reader leaves and resumes with the next one. {@link LiveQuery.close}, its `signal` or closing the database ends it.
 *
 * @example
 * ```ts
 * const live = db.live<{ n: number }>('SELECT count(*) AS n FROM orders')
 * for await (const [row] of live) badge.textContent = String(row.n)
 * ```
 */
export class LiveQuery<T> implements AsyncIterable<T[]> {
  readonly #connection: Connection
  readonly #queries: LiveQueries
  readonly #sql: string | SqlFragment
  readonly #params: SqlParams | undefined
  readonly #mode: RowMode
  readonly #mapRows: MapRows | undefined
  readonly #timeoutMs: number | undefined
  #window: LiveWindow | undefined
  readonly #isLastKept: boolean
  readonly #signal: AbortSignal | undefined
  readonly #onAbort = () => this.end(this.#signal?.reason)
  readonly #subscribers = new Set<Subscriber<T>>()
  /** Subscribers, and loops that have begun. */
  readonly #readers = new Set<object>()
  /** Whether the query is paused because its last reader has left. */
  #paused = false
  #watch: number | undefined
  #rows: T[] | undefined
  #isStale = false
  /** The latest rows in a list that only the next difference changes: an app may sort its own. */
  #base: readonly T[] = []
  #total: number | undefined
  /** How the latest rows came from the rows before; undefined: they were all read. */
  #step: { readonly before: readonly T[]; readonly difference: RowsDifference } | undefined
  /** How many results of the watch were read. */
  #reads = 0
  #error: TidelockError | undefined
  /** The number of results so far, errors included. */
  #version = 0
  #running: Promise<void> | undefined
  #runs = 0
  #lastMs: number | undefined
  #totalMs = 0
  /** When the last run ended, in milliseconds since 1970. */
  #lastAt = 0
  /** Pending from the end of a run until the event loop has run other tasks. */
  #yielding: Promise<void> | undefined
  #again = false
  /** The calls of {@link LiveQuery.refresh}. */
  readonly #waiting = new Waiting()
  /** Why the live query has ended: calls reject with the reason. */
  #ended: { readonly reason: unknown } | undefined
  /** Resolvers of the loops that wait for the next result or the end. */
  #wake: (() => void)[] = []

  /** @internal */
  constructor(
    connection: Connection,
    queries: LiveQueries,
    sql: string | SqlFragment,
    params: SqlParams | undefined,
    mode: RowMode,
    mapRows: MapRows | undefined,
    options: LiveOptions | undefined,
  ) {
    this.#connection = connection
    this.#queries = queries
    this.#sql = sql
    this.#params = params
    this.#mode = mapRows === undefined ? mode : 'array'
    this.#mapRows = mapRows
    this.#timeoutMs = options?.timeoutMs
    this.#window = checkWindow(options ?? {})
    this.#isLastKept = options?.initial === 'last'
    this.#signal = options?.signal
    if (this.#signal?.aborted) this.#onAbort()
    else {
      this.#signal?.addEventListener('abort', this.#onAbort)
      queries.add(this)
      this.changed()
      if (this.#isLastKept) void this.#beginWithLast()
    }
  }

  /** The latest rows; undefined before the first result. */
  get rows(): T[] | undefined {
    return this.#rows
  }

  /** The number of rows that the query has without `limit` and `offset`, at the time of {@link LiveQuery.rows}. */
  get total(): number | undefined {
    return this.#total
  }

  /** Whether {@link LiveQuery.rows} are those of `initial: 'last'`, because the query hasn't run yet. */
  get stale(): boolean {
    return this.#isStale
  }

  /** Whether the live query has ended. */
  get closed(): boolean {
    return this.#closed || this.#connection.closed
  }

  get #closed(): boolean {
    return this.#ended !== undefined
  }

  /** Marks it as no plain object: frameworks wrap plain objects in proxies, through which private fields can't be read. */
  get [Symbol.toStringTag](): string {
    return 'LiveQuery'
  }

  /**
   * Calls `onRows` with each new result, and with the latest one if there is one already. Returns a function that unsubscribes. A failed
   * run is passed to `onError`, or becomes a warning of the database without it; the query runs again with the next change.
   */
  subscribe(onRows: (rows: T[]) => unknown, onError?: (error: TidelockError) => unknown): () => void {
    checkFunction('The first argument of subscribe', onRows)
    if (onError !== undefined) checkFunction('The second argument of subscribe', onError)
    const subscriber = { onRows, onError }
    if (!this.#closed) this.#subscribers.add(subscriber)
    const version = this.#version
    if (version > this.#addReader(subscriber)) {
      queueMicrotask(() => {
        if (version === this.#version) this.#notify(subscriber)
      })
    }
    return () => {
      this.#subscribers.delete(subscriber)
      this.#removeReader(subscriber)
    }
  }

  /** Adds a reader. Returns the version that it counts as seen: results from before a pause are out of date. */
  #addReader(reader: object): number {
    if (this.#closed) return 0
    this.#readers.add(reader)
    if (!this.#paused) return 0
    this.#paused = false
    this.#queries.add(this)
    this.changed()
    return this.#version
  }

  #removeReader(reader: object): void {
    if (!this.#readers.delete(reader)) return
    // Frameworks remove a reader and add the next one in the same task.
    queueMicrotask(() => {
      if (this.#readers.size > 0 || this.#closed || this.#paused) return
      this.#paused = true
      this.#unregister()
    })
  }

  #unregister(): void {
    this.#queries.remove(this.#watch, this)
    if (this.#watch !== undefined) this.#connection.unwatch(this.#watch)
    this.#watch = undefined
  }

  /**
   * Returns the differences from each result to the next, as an async iterable or by {@link LiveChangesReader.subscribe}. The key shows
   * which rows are the same: a column, or several, whose values differ in every row. Throws `invalid_argument` without a key.
   *
   * @example
   * ```ts
   * for await (const { added, updated, removed, moved } of live.changes({ key: 'id' })) {
   *   for (const { row } of added) markers.add(row)
   *   for (const { row } of removed) markers.delete(row)
   * }
   * ```
   */
  changes(options: LiveChangesOptions<T>): LiveChangesReader<T> {
    return new LiveChangesReader<T>(this, options, (error) => this.#warn(error))
  }

  /**
   * Moves the window of a live query with `limit` or `offset`, and resolves with its rows. What is left out stays as it is. Rejects with
   * `invalid_argument` when the query has no window, else as {@link LiveQuery.refresh} does.
   *
   * @example
   * ```ts
   * const page = db.live('SELECT * FROM orders ORDER BY id', [], { limit: 20 })
   * next.onclick = () => page.setWindow({ offset: 20 })
   * ```
   */
  async setWindow(window: LiveWindow): Promise<T[]> {
    if (this.#window === undefined) throw noWindow()
    const { limit = this.#window.limit, offset = this.#window.offset } = checkOptionsOf('setWindow', window, [
      'limit',
      'offset',
    ]) as LiveWindow
    this.#window = checkWindow({ limit, offset })
    return this.refresh()
  }

  /**
   * Runs the query now and resolves with its rows. Rejects with the error of the query, or with `closed`. {@link LiveQuery.close} rejects
   * waiting and later calls with `closed`, an abort of the signal with `signal.reason`. In the function of a transaction it is
   * `invalid_argument`, as a call on `db` is: see {@link Database.transaction}.
   */
  async refresh(): Promise<T[]> {
    this.#connection.checkMayAcquire()
    if (this.#ended !== undefined) throw this.#ended.reason
    await this.#connection.awaited(this.#waiting.until(this.#runNow(), undefined, (error) => error))
    if (this.#error !== undefined) throw this.#error
    return this.#rows as T[]
  }

  async #runNow(): Promise<void> {
    await this.#running
    this.#start()
    await this.#running
  }

  /** Ends the live query: loops finish, subscribers aren't called any more. */
  close(): void {
    this.end(new TidelockError('closed', 'The live query is closed', { hint: 'Create it again with db.live()' }))
  }

  /** @internal Ends the live query; calls that wait reject with the reason. */
  end(reason: unknown): void {
    if (this.#closed) return
    this.#ended = { reason }
    this.#waiting.end(reason)
    this.#signal?.removeEventListener('abort', this.#onAbort)
    this.#subscribers.clear()
    this.#readers.clear()
    this.#unregister()
    this.#wakeAll()
  }

  /** Iterates over the results; of several between two steps only the latest. The loop throws the error of the query. */
  [Symbol.asyncIterator](): AsyncIterator<T[], undefined, undefined> {
    const reader = {}
    let seen = this.#addReader(reader)
    let done = false
    const next = async (): Promise<IteratorResult<T[], undefined>> => {
      while (!done && !this.#closed && seen === this.#version)
        await this.#connection.awaited(new Promise<void>((resolve) => this.#wake.push(resolve)), () => void end())
      if (done || this.#closed) return { done: true, value: undefined }
      seen = this.#version
      if (this.#error === undefined) return { done: false, value: this.#rows as T[] }
      void end()
      throw this.#error
    }
    const end = async (): Promise<IteratorResult<T[], undefined>> => {
      done = true
      this.#removeReader(reader)
      this.#wakeAll()
      return { done: true, value: undefined }
    }
    return { next, return: end }
  }

  /** @internal Runs the query after a change of its data; a change during a run causes one more run. */
  changed(): void {
    if (!this.#paused) this.#start()
  }

  #start(): void {
    if (this.#closed) return
    if (this.#running !== undefined) {
      this.#again = true
      return
    }
    const run = this.#yielding === undefined ? this.#run() : this.#yielding.then(() => this.#run())
    this.#running = run.finally(() => {
      this.#running = undefined
      // A subscriber that writes to what the query reads causes run after run: timers and input need their time between two.
      this.#yielding = yieldToEventLoop().then(() => {
        this.#yielding = undefined
      })
      if (this.#again) {
        this.#again = false
        this.changed()
      }
    })
  }

  /** @internal Registers the query again and runs it. */
  renew(): void {
    this.#watch = undefined
    this.changed()
  }

  /** Runs the query in the next worker after the previous one died during the run. */
  #rerun(): Promise<void> {
    this.#watch = undefined
    return this.#run()
  }

  async #run(): Promise<void> {
    if (this.#closed) return
    try {
      const watching = this.#watchTables()
      if (watching !== undefined) await watching
      const started = performance.now()
      const result = await this.#query().finally(() => this.#count(performance.now() - started))
      this.#accept(result)
      this.#isStale = false
      if (this.#isLastKept) void this.#keep(result)
    } catch (error) {
      if (isTidelockError(error, 'closed')) return this.end(error)
      if (isTidelockError(error, 'worker_crashed') && !this.#connection.closed) return this.#rerun()
      this.#error = error as TidelockError
    }
    if (!this.#closed) this.#publish()
  }

  #count(ms: number): void {
    this.#runs++
    this.#lastMs = ms
    this.#totalMs += ms
    this.#lastAt = Date.now()
  }

  /** @internal What `db.liveQueries` shows of it. */
  get info(): LiveQueryInfo {
    return {
      sql: this.#parts()[0],
      readers: this.#readers.size,
      rows: this.#rows?.length,
      runs: this.#runs,
      lastMs: this.#lastMs,
      totalMs: this.#totalMs,
      lastAt: this.#runs === 0 ? undefined : new Date(this.#lastAt).toISOString(),
      error: this.#error,
    }
  }

  #accept({ rows: given, total, difference }: LiveRun<T>): void {
    const rows = this.#mapRows === undefined ? given : (this.#mapRows(given as unknown[][]) as T[])
    this.#step = difference && { before: this.#rows ?? [], difference }
    this.#base = difference === undefined ? reused(this.#base, rows) : patched(this.#base, difference, rows)
    this.#rows = this.#base.slice()
    this.#total = total
    this.#error = undefined
  }

  /** @internal Returns how the latest rows came from these; undefined when that isn't known. */
  differenceFrom(rows: readonly T[]): RowsDifference | undefined {
    return this.#step?.before === rows ? this.#step.difference : undefined
  }

  #publish(): void {
    this.#version++
    for (const subscriber of [...this.#subscribers]) this.#notify(subscriber)
    this.#wakeAll()
  }

  /** Begins with the last known result, unless the query is faster. */
  async #beginWithLast(): Promise<void> {
    try {
      const last = await (await this.#queries.lastResults()).find(this.#identity())
      if (last === undefined || this.#closed || this.#version > 0) return
      this.#accept(last as LiveRun<T>)
      this.#isStale = true
    } catch {
      // The result of the query follows in any case.
      return
    }
    this.#publish()
  }

  async #keep({ rows, total }: LiveRun<T>): Promise<void> {
    const query = this.#identity()
    try {
      const results = await this.#queries.lastResults()
      results.keep(query, { rows, total })
    } catch {
      // As above; the next begins without it.
    }
  }

  /** What the last result is found by. */
  #identity(): QueryIdentity {
    const [sql, params] = this.#parts()
    return { sql, params, mode: this.#mode, window: this.#window }
  }

  async #query(): Promise<LiveRun<T>> {
    // What is kept is all rows.
    const id = this.#isLastKept ? 0 : (this.#watch ?? 0)
    const window = this.#window
    const [sql, params] = this.#parts()
    const work = [
      'live',
      { id, reads: this.#reads, rows: this.#base.length, sql, mode: this.#mode, window },
      params,
    ] as const
    try {
      const { results, value } = await this.#connection.runAlone(work, { timeoutMs: this.#timeoutMs })
      if (id === this.#watch) this.#reads++
      const [rows, counts] = results as [T[], (object | undefined)[]?]
      if (value !== undefined) return { rows, ...liveDifference(value as Uint32Array) }
      return { rows, total: counts === undefined ? rows.length : Number(Object.values(counts[0] as object)[0]) }
    } catch (error) {
      throw window === undefined ? error : windowError(error)
    }
  }

  #parts(): [string, unknown] {
    return typeof this.#sql === 'string' ? [this.#sql, this.#params] : fragmentParts(this.#sql, this.#params)
  }

  #watchTables(): MaybePromise<void> | undefined {
    if (this.#watch !== undefined || this.#paused) return
    const [sql, params] = this.#parts()
    return andThen(this.#connection.watch(sql, params), (id) => {
      // The query was closed or paused while another thread registered it.
      if (this.#closed || this.#paused) return this.#connection.unwatch(id)
      this.#watch = id
      this.#reads = 0
      this.#queries.watch(id, this)
    })
  }

  #notify(subscriber: Subscriber<T>): void {
    if (!this.#subscribers.has(subscriber)) return
    if (this.#error === undefined) callUser(subscriber.onRows, this.#rows as T[])
    else if (subscriber.onError !== undefined) callUser(subscriber.onError, this.#error)
    else this.#warn(this.#error)
  }

  #warn({ code, message }: TidelockError): void {
    this.#connection.warn(code, `Live query failed: ${message}`)
  }

  #wakeAll(): void {
    const wake = this.#wake
    this.#wake = []
    for (const resolve of wake) resolve()
  }
}
