import type { Database } from '../api/database.js'
import { isA, isPlain } from '../base/brand.js'
import { invalid } from '../base/errors.js'
import { absolutePath, isNode } from '../base/is-node.js'
import { beforeTimeout, until } from '../base/waiting.js'
import type { CoreOptions } from '../engine/core-options.js'
import type { DatabaseClient } from '../instance/database-client.js'
import { openRules } from '../options/open-rules.js'
import type { OpenOptions } from '../options/options.js'
import { complete } from '../options/rule.js'

// The engines of this page. Calls of `open` with one name share an engine: React's StrictMode, hot reload, and components that each open
// their database would otherwise meet their own lock.

/** Where a database lies. */
export type StorageLocation = Pick<CoreOptions, 'storage' | 'name' | 'path'>

/** Begins to open an engine; an abort of the signal cancels that. */
type Begin = (signal: AbortSignal) => { readonly client: DatabaseClient; readonly opened: Promise<void> }

const engines = new Map<string, PageEngine>()

/**
 * A database object for this place: on the engine that this page has there, else on a new one. Rejects with `invalid_argument` when the
 * options differ from those of the engine; with the leader's error while this tab's engine is one that the leader has refused; and as the
 * opening does.
 */
export async function openInPage(place: StorageLocation, options: OpenOptions, begin: Begin): Promise<Database> {
  const { signal } = options
  const key = keyOf(place)
  for (let engine = engines.get(key); engine !== undefined; engine = engines.get(key)) {
    if (engine.isJoinable) return engine.join(options)
    // Its lock is free only when it is closed.
    await until(engine.over(), { signal })
    if (engines.get(key) === engine) engines.delete(key)
  }
  const engine = new PageEngine(options, begin)
  engines.set(key, engine)
  engine.opened.catch(() => {
    if (engines.get(key) === engine) engines.delete(key)
  })
  return engine.join(options)
}

/** Whether this page has held the lock of that place since then. */
export function isHeldHere(place: StorageLocation, since: string): boolean {
  const engine = engines.get(keyOf(place))
  return engine !== undefined && engine.began <= Date.parse(since) && engine.isJoinable
}

/** Waits at most so long for the engine that this page is closing there. Returns whether it has closed; false when there is none. */
export async function closedHere(place: StorageLocation, waitMs: number): Promise<boolean> {
  const engine = engines.get(keyOf(place))
  if (engine === undefined || engine.isJoinable) return false
  let isOver = false
  const over = engine.over().then(() => {
    isOver = true
  })
  await beforeTimeout(over, waitMs)
  return isOver
}

function keyOf({ name, path }: StorageLocation): string {
  // Of a name the browser has one database, in whichever storage.
  return path === undefined ? `name:${name}` : `path:${absolutePath(path)}`
}

/** What an engine is opened with. */
interface Held {
  readonly options: OpenOptions
  readonly client: DatabaseClient
}

/** An engine of this page, with the calls of `open` that wait for it. */
class PageEngine {
  readonly began = Date.now()
  readonly opened: Promise<void>
  /** The options with which it was opened, and its client; undefined once it is closed, since the map of all engines keeps this object. */
  #held: Held | undefined
  readonly #cancel = new AbortController()
  #waiting = 0
  #isOpening = true

  constructor(options: OpenOptions, begin: Begin) {
    const { client, opened } = begin(this.#cancel.signal)
    this.#held = { options, client }
    client.onClosed = () => {
      this.#held = undefined
    }
    this.opened = opened.finally(() => {
      this.#isOpening = false
    })
  }

  /** Whether another database object can use it. */
  get isJoinable(): boolean {
    return !this.#cancel.signal.aborted && (this.#isOpening || this.#held?.client.isUsable === true)
  }

  /** A database object on this engine, which is joinable. Rejects with `invalid_argument` when the options differ from the engine's. */
  async join(options: OpenOptions): Promise<Database> {
    const { signal } = options
    const { options: first, client } = this.#held as Held
    // Those of the opening, and the encryption since a `rekey`.
    checkSame({ ...first, encryption: client.secrets.current }, options)
    this.#waiting++
    try {
      await until(this.opened, { signal })
      return client.attach()
    } finally {
      this.#waiting--
      if (this.#waiting === 0 && !client.isAttached) this.#abandon(client, signal?.reason)
    }
  }

  /** Cancels the opening when no call waits for it. An engine that opens all the same is closed. */
  #abandon(client: DatabaseClient, reason: unknown): void {
    this.#cancel.abort(reason)
    this.opened.then(() => client.close()).catch(() => {})
  }

  /** Resolves when it is closed, or has failed to open. */
  async over(): Promise<void> {
    await this.opened.catch(() => {})
    await this.#held?.client.closing?.catch(() => {})
  }
}

/** Throws `invalid_argument` when options differ from those with which the engine was opened. */
function checkSame(first: OpenOptions, options: OpenOptions): void {
  const [before, now]: Readonly<Record<string, unknown>>[] = [
    complete('', first, openRules),
    complete('', options, openRules),
  ]
  // The folder is the same, whatever the spelling of its path.
  const compared = Object.keys(openRules).filter((name) => name !== 'signal' && name !== 'path')
  const different = compared.filter((name) => !same(before?.[name], now?.[name]))
  if (different.length === 0) return
  const names = different.map((name) => `'${name}'`).join(', ')
  const here = isNode() ? 'process' : 'page'
  throw invalid(`This ${here} has the database open already, with another value of ${names}`, {
    details: { option: different[0], options: different },
    hint: 'Pass the same options to each open(), or close the database first; after a hot reload, reload the page',
  })
}

/** Whether two values of an option say the same. Functions do: a component makes its own with each call. */
function same(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true
  if (typeof one === 'function') return typeof other === 'function'
  if (typeof one !== 'object' || one === null || typeof other !== 'object' || other === null) return false
  if (Array.isArray(one)) {
    return Array.isArray(other) && one.length === other.length && one.every((each, at) => same(each, other[at]))
  }
  if (isPlain(one)) {
    if (!isPlain(other)) return false
    const [fields, others] = [one, other] as Readonly<Record<string, unknown>>[]
    return Object.keys({ ...fields, ...others }).every((name) => same(fields?.[name], others?.[name]))
  }
  if (isA(one, 'URL')) return String(one) === String(other)
  // What other objects stand for can't be compared; of keys that would let another one in.
  return one.constructor === other.constructor && !isA(one, 'CryptoKey')
}
