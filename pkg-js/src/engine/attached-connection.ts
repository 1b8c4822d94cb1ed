import type { TidelockError } from '../base/errors.js'
import type { SqlFragment } from '../base/sql.js'
import type { CallOptions } from '../base/values.js'
import type { ResultMode } from './codec/results.js'
import { Connection, type MaybePromise, type Permit } from './connection.js'
import type { Core, Op } from './core.js'
import type { Work, WorkResult } from './work.js'

/**
 * The connection of one of several database objects that use one engine: everything goes through the connection of the engine. When it is
 * closed, the others go on.
 */
export class AttachedConnection extends Connection {
  readonly #engine: Connection
  readonly #detach: (finished: Promise<void>) => Promise<void>
  #isClosed = false

  /** `detach` is called once, by the call that closes this connection. */
  constructor(engine: Connection, detach: (finished: Promise<void>) => Promise<void>) {
    super(engine.core, engine.options, engine.waiting, engine.functions, engine.syncCalls)
    this.#engine = engine
    this.#detach = detach
  }

  override get coreIfOpen(): Core | undefined {
    return this.#isClosed ? undefined : this.#engine.coreIfOpen
  }

  protected override get runningIfAny(): Core | undefined {
    return this.#engine.coreIfOpen
  }

  override get closed(): boolean {
    return this.#isClosed || this.#engine.closed
  }

  override get isDead(): boolean {
    return this.#engine.isDead
  }

  override check(): void {
    if (this.#isClosed) throw this.closedError()
    this.#engine.check()
  }

  override checkMayAcquire(): void {
    if (this.#isClosed) throw this.closedError()
    this.#engine.checkMayAcquire()
  }

  override checkOutside(): void {
    this.#engine.checkOutside()
  }

  override async close(): Promise<void> {
    if (this.closed) return
    this.startDeferred()
    this.#isClosed = true
    await this.#detach(this.finished())
  }

  override ended(): void {
    this.#isClosed = true
    this.#engine.ended()
  }

  statement(
    kind: Op,
    sql: string | SqlFragment,
    params: unknown,
    options?: CallOptions,
    mode?: ResultMode,
  ): Promise<unknown> {
    if (this.#isClosed) return Promise.reject(this.closedError())
    return this.#engine.statement(kind, sql, params, options, mode)
  }

  acquire(options: CallOptions | undefined): MaybePromise<Permit> {
    if (this.#isClosed) throw this.closedError()
    return this.#engine.acquire(options)
  }

  // What a transaction that has begun needs goes on after the close, which waits for it.

  release(permitId: number): void {
    this.#engine.release(permitId)
  }

  holds(permitId: number): boolean {
    return this.#engine.holds(permitId)
  }

  stored(permitId: number): Promise<void> | undefined {
    return this.#engine.stored(permitId)
  }

  tryFastPath(permitId: number, kind: Op, sql: string, params: unknown, mode: ResultMode): unknown {
    return this.#engine.tryFastPath(permitId, kind, sql, params, mode)
  }

  execute(
    permitId: number,
    kind: Op,
    sql: string | SqlFragment,
    params: unknown,
    timeoutMs: number,
    mode?: ResultMode,
  ): unknown {
    return this.#engine.execute(permitId, kind, sql, params, timeoutMs, mode)
  }

  perform(permitId: number, work: Work, timeoutMs: number): MaybePromise<WorkResult> {
    return this.#engine.perform(permitId, work, timeoutMs)
  }

  override runAlone(work: Work, options: CallOptions | undefined): MaybePromise<WorkResult> {
    if (this.#isClosed) throw this.closedError()
    return this.#engine.runAlone(work, options)
  }

  begin(permitId: number, immediate: boolean): MaybePromise<number> {
    return this.#engine.begin(permitId, immediate)
  }

  commit(permitId: number, depth: number): MaybePromise<boolean> {
    return this.#engine.commit(permitId, depth)
  }

  rollback(permitId: number, depth: number): void {
    this.#engine.rollback(permitId, depth)
  }

  loadMissingPart(error: unknown): Promise<void> {
    return this.#engine.loadMissingPart(error)
  }

  watch(sql: string, params: unknown): MaybePromise<number> {
    return this.#engine.watch(sql, params)
  }

  unwatch(id: number): void {
    this.#engine.unwatch(id)
  }

  subscribe(type: string): void {
    this.#engine.subscribe(type)
  }

  override inside<T>(work: () => T | PromiseLike<T>): Promise<T> {
    return this.#engine.inside(work)
  }

  override later(start: () => void): void {
    this.#engine.later(start)
  }

  override startDeferred(): void {
    this.#engine.startDeferred()
  }

  override die(thrown: unknown): TidelockError {
    return this.#engine.die(thrown)
  }

  override failure(thrown: unknown): TidelockError {
    return this.#engine.failure(thrown)
  }

  override closedError(): TidelockError {
    return this.#engine.closedError()
  }
}
