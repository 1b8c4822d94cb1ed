import type { SyncConfig } from '@tanstack/db'
import {
  type Database,
  isTidelockError,
  type LiveQuery,
  type Row,
  type SqlFragment,
  type SqlParams,
  TidelockError,
} from '../../index.js'
import { KnownRows } from './differences.js'
import type { CollectionKey, Written } from './table.js'

/** The query that feeds a collection. */
export interface FeedSource {
  readonly database: Database | PromiseLike<Database>
  readonly sql: string | SqlFragment
  readonly params?: SqlParams | undefined
  readonly onError: (error: TidelockError) => void
  /** Checks what the query reads before it runs. */
  load?(database: Database): Promise<void>
  keyOf(row: Row): CollectionKey
  /** Returns the row of the collection for a stored row. */
  parsed(row: Row): object
}

type SyncParams = Parameters<SyncConfig<object, CollectionKey>['sync']>[0]

/** Feeds a collection with the results of a live query. */
export class Feed {
  readonly #source: FeedSource
  #rows = new KnownRows()
  /** The live query, while the collection is in use. */
  #live: LiveQuery<Row> | undefined

  constructor(source: FeedSource) {
    this.#source = source
  }

  readonly sync: SyncConfig<object, CollectionKey> = {
    rowUpdateMode: 'full',
    sync: (params) => {
      const stop = new AbortController()
      this.#rows = new KnownRows()
      this.#start(params, stop.signal).catch((error) => {
        if (!stop.signal.aborted) this.#fail(params, error)
      })
      return () => stop.abort()
    },
  }

  async #start(params: SyncParams, signal: AbortSignal): Promise<void> {
    const database = await this.#source.database
    if (typeof database?.live !== 'function') throw noDatabase()
    const fail = (error: unknown) => this.#fail(params, error)
    database.addEventListener('close', () => fail(closed()), { signal })
    await this.#source.load?.(database)
    if (signal.aborted) return
    const live = database.live<Row>(this.#source.sql, this.#source.params, { signal })
    signal.addEventListener('abort', () => {
      if (this.#live === live) this.#live = undefined
    })
    this.#live = live
    live.subscribe((result) => {
      try {
        this.#apply(params, result)
      } catch (error) {
        fail(error)
      }
    }, fail)
  }

  #apply({ begin, write, commit, markReady }: SyncParams, result: readonly Row[]): void {
    const { parsed, keyOf } = this.#source
    const { added, updated, removed } = this.#rows.next(result, keyOf)
    begin()
    for (const key of removed) write({ type: 'delete', key })
    for (const row of added) write({ type: 'insert', value: parsed(row) })
    for (const { before, after } of updated)
      write({ type: 'update', value: parsed(after), previousValue: parsed(before) })
    commit()
    markReady()
  }

  /** Without a first result the collection fails; later it keeps the rows that it has. */
  #fail({ collection, markError }: SyncParams, error: unknown): void {
    if (collection.status === 'loading') markError(error)
    else if (!isTidelockError(error, 'closed')) this.#source.onError(error as TidelockError)
  }

  /** Runs the query again; resolves when the collection has the result. */
  async refresh(): Promise<void> {
    const live = this.#live
    try {
      await live?.refresh()
    } catch (error) {
      // A collection that was cleaned up meanwhile has no result to wait for.
      if (this.#live === live) throw error
    }
  }

  /** Resolves when the collection has the rows of a committed write. */
  async seen(written: readonly Written[], database: Database): Promise<void> {
    const isSeen = () => this.#live === undefined || written.every(({ key, row }) => this.#rows.has(key, row))
    if (isSeen()) return
    try {
      // Calls run in their order: the commit has already queued the run of the live query.
      await database.query('SELECT 1')
      // Triggers may have made something else of the row, or others have changed it since.
      if (!isSeen()) await this.refresh()
    } catch {
      // The write is done, even though its result can't be read.
    }
  }
}

function noDatabase(): TidelockError {
  return new TidelockError('invalid_argument', 'The option database of a collection must be an open database', {
    hint: 'Pass what open() returns, or its promise',
  })
}

function closed(): TidelockError {
  return new TidelockError('closed', 'The database of the collection is closed', {
    hint: 'Create the collection again over a database that is open',
  })
}
