import { isTidelockError, TidelockError } from '../base/errors.js'
import type { SqlFragment } from '../base/sql.js'
import type { CallOptions, SqlParams } from '../base/values.js'
import { until } from '../base/waiting.js'
import type { Mode } from '../engine/codec/rows.js'
import {
  type CallsOptions,
  Connection,
  copyRows,
  notNow,
  rejecting,
  type Soon,
  type Turn,
} from '../engine/connection.js'
import { type Core, type Op, op } from '../engine/core.js'
import { type Done, packedWork, type Work } from '../engine/work.js'
import { type AskOptions, type Channel, GivenUp } from './channel.js'
import { Deaths } from './deaths.js'
import { FlatCodec } from './flat-codec.js'
import { areMany, runManyRows } from './many-rows.js'
import { watchPage } from './page-lifecycle.js'
import { type Area, type Limit, left, type PageMethods, type Result, type WorkerMethods } from './protocol.js'

/** Tickets of different sessions must not be taken for each other: the session's number is above those of its engine. */
const ticketsPerSession = 2 ** 32

/** Somebody who has the engine, or knows who has, as long as that lasts. */
export interface Engaged {
  readonly channel: Pick<Channel<WorkerMethods, PageMethods>, 'ask' | 'tell'>
  /** Resolves after {@link Engaged.end}, when nothing is held any more. */
  readonly gone: Promise<void>
  /** Lets go of it: what waits for it rejects with that error. */
  end(error: unknown): void
}

/** Begins a session: a worker, which opens the database. `opened` rejects when it can't. */
export type Begin = (
  connection: RemoteCalls,
  number: number,
  heard: readonly string[],
) => { readonly session: Engaged; readonly opened: Promise<void> }

/** How the other side lives. */
export interface RemoteTraits {
  /** What was in it is stored somewhere else. */
  readonly lasting: boolean
  /** Several tabs share it: who serves may change at any time, and what was on its way is then sent again. */
  readonly shared?: boolean
}

/**
 * Calls into an engine in another thread. Parameters are packed and results decoded here, as for an engine in this thread. When the other
 * thread dies, those that wait are told, and another one takes its place; calls made meanwhile wait for it.
 */
export class RemoteCalls extends Connection {
  readonly #begin: Begin
  readonly #traits: RemoteTraits
  readonly #onRenewed: () => void
  readonly #heard = new Set<string>()
  #session!: Engaged
  #number = 0
  #codec!: FlatCodec
  readonly #deaths = new Deaths()
  #isOpen = false
  #unwatchPage = () => {}

  constructor(options: CallsOptions, begin: Begin, traits: RemoteTraits, onRenewed: () => void) {
    super(
      remoteCore((method, args) => this.#core(method, args), traits),
      options,
    )
    this.#begin = begin
    this.#traits = traits
    this.#onRenewed = onRenewed
  }

  /** Begins the first session; resolves when the database is open. What rejects, by the signal too, has left nothing behind. */
  async open(signal?: AbortSignal): Promise<void> {
    try {
      await until(this.#start(), { signal })
    } catch (error) {
      const failure = this.#refined(error)
      if (this.#session !== undefined) {
        this.end(failure)
        await this.#session.gone
      }
      throw signal?.aborted && error === signal.reason ? error : failure
    }
    this.#isOpen = true
    this.#unwatchPage = watchPage((moment) => this.#session.channel.tell('page', [moment]))
  }

  #start(): Promise<void> {
    const { session, opened } = this.#begin(this, ++this.#number, [...this.#heard])
    this.#session = session
    // The shapes of results have numbers of their own in each session.
    this.#codec = new FlatCodec(this.options.integers)
    return opened
  }

  /** The worker of that session is dead. */
  crashed(number: number, cause: unknown): void {
    if (number !== this.#number || this.coreIfOpen === undefined) return
    const old = this.#session
    const error = new TidelockError('worker_crashed', 'The worker of this database died', {
      hint: this.#traits.lasting
        ? 'The database opens itself again. What was acknowledged is there; look whether this call was applied before repeating it'
        : 'What a database in memory held is gone with it: open it anew',
      details: { applied: null },
      cause,
    })
    const isOneTooMany = this.#deaths.note()
    // While it opens for the first time, or closes, there is nobody to open it again for.
    if (this.closed || !this.#isOpen) {
      old.end(error)
      return
    }
    if (!this.#traits.lasting || isOneTooMany) {
      this.die(error)
      return
    }
    this.#restart()
    old.end(error)
    this.interrupt(error)
    this.warn('worker_crashed', 'The worker of this database died; the database opens itself again')
    this.#onRenewed()
  }

  async #restart(): Promise<void> {
    const number = this.#number + 1
    try {
      await this.#start()
    } catch (error) {
      if (number === this.#number) this.die(this.#refined(error))
    }
  }

  statement(
    kind: Op,
    sql: string | SqlFragment,
    params: unknown,
    options?: CallOptions,
    mode: Mode = 'object',
  ): Promise<unknown> {
    return rejecting(() => {
      this.#checked(options)
      if (typeof sql === 'string' && !this.#traits.shared && areMany(kind, params)) {
        const rows = copyRows(params) as SqlParams[]
        return this.withTurn(options, ({ ticket, timeoutMs }) => this.#runMany(ticket, sql, rows, timeoutMs, options))
      }
      return this.#statement(0, kind, sql, params, limitOf(options?.timeoutMs), mode, options?.signal)
    })
  }

  override alone(work: Work, options: CallOptions | undefined): Promise<Done> {
    return rejecting(() => {
      this.#checked(options)
      return this.#run(0, work, limitOf(options?.timeoutMs), options?.signal)
    })
  }

  async acquire(options: CallOptions | undefined): Promise<Turn> {
    this.#checked(options)
    const limit = limitOf(options?.timeoutMs)
    const asked = this.#ask('turn', [limit], { signal: options?.signal })
    try {
      const ticket = this.#ours(await this.orStopped(asked, options))
      return { ticket, timeoutMs: limit === undefined ? 0 : Math.max(1, left(limit)) }
    } catch (error) {
      // One that comes all the same is given back.
      asked.then(
        (late) => this.leave(this.#ours(late)),
        () => {},
      )
      throw error
    }
  }

  /** It has committed: whether that outlives the worker nobody knows. */
  async stored(ticket: number): Promise<void> {
    await this.#ask('stored', [this.#theirs(ticket, null)])
  }

  holds(ticket: number): boolean {
    return this.#isCurrent(ticket) && this.coreIfOpen !== undefined
  }

  #checked(options: CallOptions | undefined): void {
    this.checkTurn()
    options?.signal?.throwIfAborted()
  }

  now(): unknown {
    return notNow
  }

  execute(
    ticket: number,
    kind: Op,
    sql: string | SqlFragment,
    params: unknown,
    timeoutMs: number,
    mode: Mode = 'object',
  ): Promise<unknown> {
    return rejecting(() => {
      if (typeof sql === 'string' && areMany(kind, params)) {
        const rows = copyRows(params) as SqlParams[]
        return this.#runMany(ticket, sql, rows, timeoutMs, undefined).then(([done]) => done)
      }
      return this.#statement(this.#theirs(ticket), kind, sql, params, limitOf(timeoutMs), mode)
    })
  }

  perform(ticket: number, work: Work, timeoutMs: number): Promise<Done> {
    return rejecting(() => this.#run(this.#theirs(ticket), work, limitOf(timeoutMs)))
  }

  #statement(
    ticket: number,
    kind: Op,
    sql: string | SqlFragment,
    params: unknown,
    limit: Limit | undefined,
    mode: Mode,
    signal?: AbortSignal,
  ): Promise<unknown> {
    const codec = this.#codec
    const { text, areas, transfer } = codec.pack(kind, sql, params)
    const work = ['statement', kind, text, areas] as const
    return this.#ask('run', [work, ticket, limit], { transfer, signal }, ({ results: [result] }) =>
      codec.decode(kind, result as Result, mode),
    )
  }

  /** Anything else: all its statements are packed, and all results decoded. */
  #run(ticket: number, work: Work, limit: Limit | undefined, signal?: AbortSignal): Promise<Done> {
    const codec = this.#codec
    const transfer: ArrayBuffer[] = []
    const packed = packedWork(work, (kind, sql, params) => {
      const { areas, transfer: moved } = codec.pack(kind, sql, params)
      transfer.push(...moved)
      return areas
    })
    return this.#ask('run', [packed, ticket, limit], { transfer, signal }, async (done) => ({
      ...done,
      results: await Promise.all(done.results.map((result) => codec.decode(op.query, result, 'object'))),
    }))
  }

  /** One statement for many rows, as {@link runManyRows} does it. */
  #runMany(ticket: number, sql: string, rows: readonly SqlParams[], timeoutMs: number, options?: CallOptions) {
    const codec = this.#codec
    const pack = (from: number) => codec.packSome(rows, from)
    const execute = (kind: Op, area: Area, timeoutMs: number) =>
      this.#ask(
        'run',
        [['statement', kind, sql, [area]], this.#theirs(ticket), limitOf(timeoutMs)],
        { transfer: [area.buffer] },
        ({ results: [result] }) => codec.decode(op.runMany, result as Result, 'object') as Soon<{ changes: number }>,
      )
    return runManyRows(this, { ticket, timeoutMs }, { count: rows.length, pack, execute }, options?.signal)
  }

  async begin(ticket: number, immediate: boolean): Promise<number> {
    return this.#ask('begin', [this.#theirs(ticket), immediate])
  }

  async commit(ticket: number, depth: number): Promise<boolean> {
    return this.#ask('commit', [this.#theirs(ticket), depth])
  }

  rollback(ticket: number, depth: number): void {
    if (this.#isCurrent(ticket)) this.#session.channel.tell('rollback', [this.#theirs(ticket), depth])
  }

  leave(ticket: number): void {
    if (this.#isCurrent(ticket)) this.#session.channel.tell('leave', [this.#theirs(ticket)])
  }

  /** The worker has seen to that. */
  async loadWhatLacks(error: unknown): Promise<void> {
    throw error
  }

  async watch(sql: string): Promise<number> {
    return this.#ask('watch', [sql])
  }

  unwatch(id: number): void {
    if (!this.closed) this.#session.channel.tell('unwatch', [id])
  }

  heard(type: string): void {
    this.#heard.add(type)
    this.#session.channel.tell('heard', [type])
  }

  /** Resolves when the worker is gone, and with it all that it held. */
  override async close(): Promise<void> {
    try {
      await super.close()
    } finally {
      await this.#session.gone
    }
  }

  protected override end(error: TidelockError): void {
    super.end(error)
    this.#unwatchPage()
    this.#session.end(error)
  }

  /** A ticket of the session's engine, as it is known here. */
  ticketOf(number: number, theirs: number): number {
    return number * ticketsPerSession + theirs
  }

  #ours(theirs: number): number {
    return this.ticketOf(this.#number, theirs)
  }

  #isCurrent(ticket: number): boolean {
    return Math.floor(ticket / ticketsPerSession) === this.#number
  }

  #theirs(ticket: number, applied: false | null = false): number {
    if (!this.#isCurrent(ticket)) {
      throw new TidelockError('worker_crashed', 'The worker in which this transaction began has died', {
        hint: 'Run the whole transaction again',
        details: { applied },
      })
    }
    return ticket % ticketsPerSession
  }

  /** Asks the worker, and makes something of its answer: in one step, since each promise costs on the way of every call. */
  #ask<K extends keyof WorkerMethods, T = Awaited<ReturnType<WorkerMethods[K]>>>(
    method: K,
    args: Parameters<WorkerMethods[K]>,
    options?: AskOptions,
    make?: (answer: Awaited<ReturnType<WorkerMethods[K]>>) => Soon<T>,
  ): Promise<T> {
    return this.#session.channel.ask(method, args, options).then(make as (answer: unknown) => Soon<T>, (error) => {
      throw error instanceof GivenUp ? error.reason : this.#refined(error)
    })
  }

  #refined(error: unknown): TidelockError {
    return isTidelockError(error) ? this.options.refine(error) : this.failure(error)
  }

  /** Only pages may ask the browser for it; the engine knows whether the database is still to be asked for. */
  async #persist(): Promise<boolean> {
    const promised = await this.#ask('core', ['persist'])
    return promised === true || (this.#traits.lasting && ((await navigator.storage?.persist?.()) ?? false))
  }

  /** A call of the engine by name. */
  #core(method: string, args: readonly unknown[]): unknown {
    switch (method) {
      case 'close':
        return this.#ask('close', [])
      case 'persist':
        return this.#persist()
      case 'cancel':
      case 'dropCancel':
        return this.#session.channel.tell('core', [method, ...args])
      default: {
        const transfer: ArrayBuffer[] = []
        const given = args.map((one) => (one instanceof Uint8Array ? copied(one, transfer) : one))
        return this.#ask('core', [method, ...given], { transfer })
      }
    }
  }
}

/** The engine's methods by name, as promises. What is found out here and not there has a method of its own. */
function remoteCore(call: (method: string, args: readonly unknown[]) => unknown, { shared }: RemoteTraits): Core {
  // Of one engine's users each has numbers of its own.
  let cancels = shared === true ? Math.floor(Math.random() * 2 ** 31) : 0
  const get = (_: object, method: string) =>
    method === 'newCancel' ? () => ++cancels : (...args: unknown[]) => call(method, args)
  return new Proxy({}, { get }) as Core
}

/** Bytes to give away: the caller may go on with its own. */
function copied(bytes: Uint8Array, transfer: ArrayBuffer[]): Uint8Array {
  const copy = bytes.slice()
  transfer.push(copy.buffer)
  return copy
}

function limitOf(timeoutMs: number | undefined): Limit | undefined {
  return timeoutMs ? { timeoutMs, since: Date.now() } : undefined
}
