import { beforeCommit, errorWith, isTidelockError, TidelockError } from '../base/errors.js'
import type { SqlFragment } from '../base/sql.js'
import type { CallOptions, SqlParams } from '../base/values.js'
import { until } from '../base/waiting.js'
import type { ResultMode } from '../engine/codec/results.js'
import {
  Connection,
  type ConnectionOptions,
  type MaybePromise,
  noFastPath,
  type Permit,
  rejecting,
} from '../engine/connection.js'
import { copyRows } from '../engine/copy-rows.js'
import { type Op, op } from '../engine/core.js'
import { packedWork } from '../engine/packed-work.js'
import type { Work, WorkResult } from '../engine/work.js'
import { type AskOptions, Cancelled, type Channel } from './channel.js'
import { CrashLimiter, tooManyCrashes } from './crash-limiter.js'
import { FlatCodec } from './flat-codec.js'
import { isManyRows, runManyRows } from './many-rows.js'
import { watchPage } from './page-lifecycle.js'
import {
  type PackedResult,
  type PageMethods,
  type ParameterBuffer,
  remainingMs,
  type TimeLimit,
  type WorkerMethods,
} from './protocol.js'
import { type RemoteTraits, remoteCore } from './remote-core.js'
import { isTransient, Reopening } from './reopening.js'

/** Permit ids here are the session's number times this, plus the engine's id, so that those of different sessions differ. */
const permitIdsPerSession = 2 ** 32

/** A session with an engine: of a worker, or of a shared tab, from its beginning to its end. */
export interface EngineSession {
  readonly channel: Pick<Channel<WorkerMethods, PageMethods>, 'ask' | 'notify'>
  /** Resolves after {@link EngineSession.end}, when all locks are released. */
  readonly released: Promise<void>
  /** Ends the session: pending calls reject with that error. */
  end(error: unknown): void
}

/** Begins a session, which opens the database. `opened` rejects when it can't; `eventTypes` are the types of events that have listeners. */
export type BeginSession = (
  connection: ChannelConnection,
  number: number,
  eventTypes: readonly string[],
) => { readonly session: EngineSession; readonly opened: Promise<void> }

/**
 * Calls into an engine in another thread. Parameters are packed and results decoded here, as for an engine in this thread. When the other
 * thread crashes, pending calls reject with `worker_crashed`, another one takes its place, and calls made meanwhile wait for it.
 */
export class ChannelConnection extends Connection {
  readonly #beginSession: BeginSession
  readonly #traits: RemoteTraits
  readonly #onRenewed: () => void
  readonly #eventTypes = new Set<string>()
  #session!: EngineSession
  #sessionNumber = 0
  #codec!: FlatCodec
  readonly #crashes = new CrashLimiter()
  readonly #reopening = new Reopening()
  #isOpen = false
  #unwatchPage = () => {}

  constructor(options: ConnectionOptions, beginSession: BeginSession, traits: RemoteTraits, onRenewed: () => void) {
    super(
      remoteCore(
        {
          ask: (call, options) => this.#ask('core', call, options),
          notify: (call) => this.#session.channel.notify('core', call),
          close: () => this.#closeEngine(),
        },
        traits,
      ),
      options,
    )
    this.#beginSession = beginSession
    this.#traits = traits
    this.#onRenewed = onRenewed
  }

  /** Begins the first session; resolves when the database is open. When it rejects, by the signal too, all locks are released. */
  async open(signal?: AbortSignal): Promise<void> {
    try {
      await until(this.#start(), { signal })
    } catch (error) {
      const failure = this.#refined(error)
      if (this.#session !== undefined) {
        this.end(failure)
        await this.#session.released
      }
      throw signal?.aborted && error === signal.reason ? error : failure
    }
    this.#isOpen = true
    this.#unwatchPage = watchPage((event) => this.#session.channel.notify('page', [event]))
  }

  async #start(): Promise<void> {
    const { session, opened } = this.#beginSession(this, ++this.#sessionNumber, [...this.#eventTypes])
    this.#session = session
    // The ids of shapes belong to one session.
    this.#codec = new FlatCodec(this.options.integers)
    return opened
  }

  /** Handles the crash of that session's worker. */
  crashed(number: number, cause: unknown): void {
    if (number !== this.#sessionNumber || this.coreIfOpen === undefined) return
    const old = this.#session
    const error = new TidelockError('worker_crashed', 'The worker of this database crashed', {
      hint: this.#traits.lasting
        ? 'The database reopens by itself with all acknowledged writes. If details.applied is null, check whether this call was applied before you repeat it'
        : 'The data of a database in memory is lost with its worker: open the database again',
      details: { applied: null },
      cause,
    })
    const isOneTooMany = this.#crashes.record()
    // While the database opens for the first time, or closes, it isn't reopened.
    if (this.closed || !this.#isOpen) {
      old.end(error)
      return
    }
    if (!this.#traits.lasting || isOneTooMany) {
      this.die(this.#traits.lasting ? tooManyCrashes(cause) : error)
      return
    }
    this.#restart()
    old.end(error)
    this.interrupt(error)
    this.warn('worker_crashed', 'The worker of this database crashed; the database reopens by itself')
    this.#onRenewed()
  }

  async #restart(): Promise<void> {
    const number = this.#sessionNumber + 1
    try {
      await this.#start()
      this.#reopening.succeeded()
    } catch (error) {
      if (number === this.#sessionNumber) this.#notReopened(this.#refined(error))
    }
  }

  /** Handles a failed reopening. None of the calls that waited for it has run. */
  #notReopened(error: TidelockError): void {
    if (!isTransient(error)) {
      this.die(error)
      return
    }
    this.#reopening.failed(() => {
      this.#restart()
      this.#onRenewed()
    })
    this.#session.end(errorWith(error, { details: { applied: false } }))
  }

  /** Without an engine there is nothing to close. */
  async #closeEngine(): Promise<void> {
    try {
      await this.#ask('close', [])
    } catch (error) {
      if (!this.#reopening.isDue) throw error
    }
  }

  override check(): void {
    if (!this.closed) this.#reopening.retry()
    super.check()
  }

  statement(
    kind: Op,
    sql: string | SqlFragment,
    params: unknown,
    options?: CallOptions,
    mode: ResultMode = 'object',
  ): Promise<unknown> {
    return rejecting(() => {
      this.#checked(options)
      if (typeof sql === 'string' && !this.#traits.shared && isManyRows(kind, params)) {
        const rows = copyRows(params) as SqlParams[]
        return this.withPermit(options, ({ permitId, timeoutMs }) =>
          this.#runMany(permitId, sql, rows, timeoutMs, options),
        )
      }
      return this.#outside(options?.signal, (signal) =>
        this.#statement(0, kind, sql, params, limitOf(options?.timeoutMs), mode, signal),
      )
    })
  }

  override runAlone(work: Work, options: CallOptions | undefined): Promise<WorkResult> {
    return rejecting(() => {
      this.#checked(options)
      return this.#outside(options?.signal, (signal) => this.#run(0, work, limitOf(options?.timeoutMs), signal))
    })
  }

  /** Makes a call that waits in the other thread for the mutex; cancels it when the function of a transaction here awaits it. */
  #outside<T>(signal: AbortSignal | undefined, call: (signal: AbortSignal | undefined) => Promise<T>): Promise<T> {
    if (!this.functions.areRunning) return call(signal)
    const cancel = new AbortController()
    const abort = () => cancel.abort(signal?.reason)
    signal?.addEventListener('abort', abort)
    const pending = call(cancel.signal).finally(() => signal?.removeEventListener('abort', abort))
    return this.awaited(pending, () => cancel.abort())
  }

  async acquire(options: CallOptions | undefined): Promise<Permit> {
    this.#checked(options)
    const limit = limitOf(options?.timeoutMs)
    const asked = this.#ask('acquire', [limit], { signal: options?.signal })
    try {
      const permitId = this.#localId(await this.orStopped(asked, options))
      return { permitId, timeoutMs: limit === undefined ? 0 : Math.max(1, remainingMs(limit)) }
    } catch (error) {
      // A permit that arrives after the caller has stopped waiting is released.
      asked.then(
        (late) => this.release(this.#localId(late)),
        () => {},
      )
      throw beforeCommit(error)
    }
  }

  /** Waits for the storing of a commit; when the worker crashes, `details.applied` is null: it is unknown whether the commit was stored. */
  async stored(permitId: number): Promise<void> {
    await this.#ask('stored', [this.#engineId(permitId, null)])
  }

  holds(permitId: number): boolean {
    return this.#isCurrent(permitId) && this.coreIfOpen !== undefined
  }

  #checked(options: CallOptions | undefined): void {
    this.checkMayAcquire()
    options?.signal?.throwIfAborted()
  }

  tryFastPath(): unknown {
    return noFastPath
  }

  execute(
    permitId: number,
    kind: Op,
    sql: string | SqlFragment,
    params: unknown,
    timeoutMs: number,
    mode: ResultMode = 'object',
  ): Promise<unknown> {
    return rejecting(() => {
      if (typeof sql === 'string' && isManyRows(kind, params)) {
        const rows = copyRows(params) as SqlParams[]
        return this.#runMany(permitId, sql, rows, timeoutMs, undefined).then(([done]) => done)
      }
      return this.#statement(this.#engineId(permitId), kind, sql, params, limitOf(timeoutMs), mode)
    })
  }

  perform(permitId: number, work: Work, timeoutMs: number): Promise<WorkResult> {
    return rejecting(() => this.#run(this.#engineId(permitId), work, limitOf(timeoutMs)))
  }

  #statement(
    permitId: number,
    kind: Op,
    sql: string | SqlFragment,
    params: unknown,
    limit: TimeLimit | undefined,
    mode: ResultMode,
    signal?: AbortSignal,
  ): Promise<unknown> {
    const codec = this.#codec
    const { text, areas, transfer } = codec.pack(kind, sql, params)
    const work = ['statement', kind, text, areas] as const
    return this.#ask('run', [work, permitId, limit], { transfer, signal }, ({ results: [result] }) =>
      codec.decode(kind, result as PackedResult, mode),
    )
  }

  /** Packs all statements of the work, and decodes all results. */
  #run(permitId: number, work: Work, limit: TimeLimit | undefined, signal?: AbortSignal): Promise<WorkResult> {
    const codec = this.#codec
    const transfer: ArrayBuffer[] = []
    const mode = work[0] === 'live' ? work[1].mode : 'object'
    const packed = packedWork(work, (kind, sql, params) => {
      const { areas, transfer: moved } = codec.pack(kind, sql, params)
      transfer.push(...moved)
      return areas
    })
    return this.#ask('run', [packed, permitId, limit], { transfer, signal }, async (done) => ({
      ...done,
      results: await Promise.all(done.results.map((result) => codec.decode(op.query, result, mode))),
    }))
  }

  /** Runs one statement for many rows: see {@link runManyRows}. */
  #runMany(permitId: number, sql: string, rows: readonly SqlParams[], timeoutMs: number, options?: CallOptions) {
    const codec = this.#codec
    const pack = (from: number) => codec.packSome(rows, from)
    const execute = (kind: Op, area: ParameterBuffer, timeoutMs: number) =>
      this.#ask(
        'run',
        [['statement', kind, sql, [area]], this.#engineId(permitId), limitOf(timeoutMs)],
        { transfer: [area.buffer] },
        ({ results: [result] }) =>
          codec.decode(op.runMany, result as PackedResult, 'object') as MaybePromise<{ changes: number }>,
      )
    return runManyRows(this, { permitId, timeoutMs }, { count: rows.length, pack, execute }, options?.signal)
  }

  async begin(permitId: number, immediate: boolean): Promise<number> {
    try {
      return await this.#ask('begin', [this.#engineId(permitId), immediate])
    } catch (error) {
      throw beforeCommit(error)
    }
  }

  async commit(permitId: number, depth: number): Promise<boolean> {
    return this.#ask('commit', [this.#engineId(permitId), depth])
  }

  rollback(permitId: number, depth: number): void {
    if (this.#isCurrent(permitId)) this.#session.channel.notify('rollback', [this.#engineId(permitId), depth])
  }

  release(permitId: number): void {
    if (this.#isCurrent(permitId)) this.#session.channel.notify('release', [this.#engineId(permitId)])
  }

  /** The worker has loaded missing parts already. */
  async loadMissingPart(error: unknown): Promise<void> {
    throw error
  }

  async watch(sql: string, params: unknown): Promise<number> {
    this.#reopening.retry()
    // Not transferred, because a shared tab sends it again to the next leader.
    return this.#ask('watch', [sql, this.#codec.pack(op.query, sql, params).areas])
  }

  unwatch(id: number): void {
    if (!this.closed) this.#session.channel.notify('unwatch', [id])
  }

  subscribe(type: string): void {
    this.#eventTypes.add(type)
    this.#session.channel.notify('subscribe', [type])
  }

  /** Resolves when the worker has ended and its locks are released. */
  override async close(): Promise<void> {
    try {
      await super.close()
    } finally {
      await this.#session.released
    }
  }

  protected override end(error: TidelockError): void {
    super.end(error)
    this.#reopening.cancel()
    this.#unwatchPage()
    this.#session.end(error)
  }

  /** Converts a permit id of that session's engine to the id that is used here. */
  permitIdOf(number: number, engineId: number): number {
    return number * permitIdsPerSession + engineId
  }

  #localId(engineId: number): number {
    return this.permitIdOf(this.#sessionNumber, engineId)
  }

  #isCurrent(permitId: number): boolean {
    return Math.floor(permitId / permitIdsPerSession) === this.#sessionNumber
  }

  #engineId(permitId: number, applied: false | null = false): number {
    if (!this.#isCurrent(permitId)) {
      throw new TidelockError('worker_crashed', 'The worker in which this transaction began has crashed', {
        hint: 'Run the whole transaction again',
        details: { applied },
      })
    }
    return permitId % permitIdsPerSession
  }

  /** Calls a method of the worker and converts its answer in one step, since each further promise would slow down every call. */
  #ask<K extends keyof WorkerMethods, T = Awaited<ReturnType<WorkerMethods[K]>>>(
    method: K,
    args: Parameters<WorkerMethods[K]>,
    options?: AskOptions,
    make?: (answer: Awaited<ReturnType<WorkerMethods[K]>>) => MaybePromise<T>,
  ): Promise<T> {
    const answered = (answer: Awaited<ReturnType<WorkerMethods[K]>>) => {
      const made = make === undefined ? (answer as T) : make(answer)
      // An engine in this thread answers in a microtask.
      const due = this.turnDue()
      return due === undefined ? made : Promise.all([made, due]).then(([result]) => result)
    }
    return this.#session.channel.ask(method, args, options).then(answered, (error) => {
      throw error instanceof Cancelled ? error.reason : this.#refined(error)
    })
  }

  #refined(error: unknown): TidelockError {
    return isTidelockError(error) ? this.options.refine(error) : this.failure(error)
  }
}

function limitOf(timeoutMs: number | undefined): TimeLimit | undefined {
  return timeoutMs ? { timeoutMs, since: Date.now() } : undefined
}
