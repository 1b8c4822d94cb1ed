import type { TidelockError } from '../base/errors.js'
import { loaded } from '../base/lazy-module.js'
import type { LastResults, ResultsPlace } from './last-results.js'

/** A live query that has readers, and its runs. It has no values of parameters. */
export interface LiveQueryInfo {
  /** The SQL text. */
  readonly sql: string
  /** The number of subscribers and loops that read it. */
  readonly readers: number
  /** The number of its rows; undefined before the first result. */
  readonly rows: number | undefined
  /** How often it ran. */
  readonly runs: number
  /** The duration of the last run in milliseconds, the time in the queue included. */
  readonly lastMs: number | undefined
  /** The duration of all runs in milliseconds. */
  readonly totalMs: number
  /** When the last run ended, ISO 8601. */
  readonly lastAt: string | undefined
  /** Why the last run failed. */
  readonly error: TidelockError | undefined
}

/** A live query, as {@link LiveQueries} calls it. */
interface RegisteredQuery {
  readonly info: LiveQueryInfo
  changed(): void
  renew(): void
  end(reason: unknown): void
}

/** The live queries of one database. */
export class LiveQueries {
  /** By the ids that `live` events carry. */
  readonly #watched = new Map<number, RegisteredQuery>()
  readonly #open = new Set<RegisteredQuery>()
  readonly #place: ResultsPlace
  readonly #mayStore: () => boolean
  #lastResults: Promise<LastResults> | undefined

  /** `place`: where results are stored, as long as `mayStore` says so. */
  constructor(place: ResultsPlace, mayStore: () => boolean) {
    this.#place = place
    this.#mayStore = mayStore
  }

  /** Loads what stores the last results: few apps use it. */
  lastResults(): Promise<LastResults> {
    this.#lastResults ??= loaded("initial: 'last'", import('./last-results.js')).then(
      ({ LastResults }) => new LastResults(this.#place, this.#mayStore),
      (error) => {
        // The next live query loads it again.
        this.#lastResults = undefined
        throw error
      },
    )
    return this.#lastResults
  }

  /** Stores the last results, if there are any, and none later. Never rejects. */
  async closeLastResults(): Promise<void> {
    await this.#lastResults?.then((results) => results.close()).catch(() => {})
  }

  /** Removes the stored results. */
  async clearLastResults(): Promise<void> {
    await (await this.lastResults()).clear()
  }

  add(query: RegisteredQuery): void {
    this.#open.add(query)
  }

  watch(id: number, query: RegisteredQuery): void {
    this.#watched.set(id, query)
  }

  remove(id: number | undefined, query: RegisteredQuery): void {
    if (id !== undefined) this.#watched.delete(id)
    this.#open.delete(query)
  }

  /** Runs the queries with these ids again after a commit changed their data; without ids, all. */
  changed(ids?: readonly number[]): void {
    if (ids === undefined) for (const query of [...this.#open]) query.changed()
    else for (const id of ids) this.#watched.get(id)?.changed()
  }

  /** Registers and runs all queries again after a restart of the engine. */
  renew(): void {
    this.#watched.clear()
    for (const query of [...this.#open]) query.renew()
  }

  /** Describes the queries that have readers. */
  infos(): LiveQueryInfo[] {
    return [...this.#open].map((query) => query.info)
  }

  /** Ends all queries; calls that wait reject with the reason. */
  end(reason: TidelockError): void {
    for (const query of [...this.#open]) query.end(reason)
  }
}
