import type { TidelockError } from '../base/errors.js'
import type { SqlFragment } from '../base/sql.js'
import type { CallOptions } from '../base/values.js'
import type { Mode } from './codec/rows.js'
import { Connection, type Soon, type Turn } from './connection.js'
import type { Core, Op } from './core.js'
import type { Done, Work } from './work.js'

/**
 * The connection of one of several database objects that use one engine: everything goes through the connection of the engine. When it is
 * closed, the others go on.
 */
export class AttachedConnection extends Connection {
  readonly #engine: Connection
  readonly #detach: () => Promise<void>
  #isClosed = false

  /** `detach` is called once, by the call that closes this connection. */
  constructor(engine: Connection, detach: () => Promise<void>) {
    super(engine.core, engine.options, engine.waiting)
    this.#engine = engine
    this.#detach = detach
  }

  override get coreIfOpen(): Core | undefined {
    return this.#isClosed ? undefined : this.#engine.coreIfOpen
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

  override checkTurn(): void {
    if (this.#isClosed) throw this.closedError()
    this.#engine.checkTurn()
  }

  override async close(): Promise<void> {
    if (this.closed) return
    this.startLate()
    this.#isClosed = true
    await this.#detach()
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
    mode?: Mode,
  ): Promise<unknown> {
    if (this.#isClosed) return Promise.reject(this.closedError())
    return this.#engine.statement(kind, sql, params, options, mode)
  }

  acquire(options: CallOptions | undefined): Soon<Turn> {
    if (this.#isClosed) throw this.closedError()
    return this.#engine.acquire(options)
  }

  // What a transaction that has begun needs goes on after the close, which waits for it.

  leave(ticket: number): void {
    this.#engine.leave(ticket)
  }

  holds(ticket: number): boolean {
    return this.#engine.holds(ticket)
  }

  stored(ticket: number): Promise<void> | undefined {
    return this.#engine.stored(ticket)
  }

  now(ticket: number, kind: Op, sql: string, params: unknown, mode: Mode): unknown {
    return this.#engine.now(ticket, kind, sql, params, mode)
  }

  execute(
    ticket: number,
    kind: Op,
    sql: string | SqlFragment,
    params: unknown,
    timeoutMs: number,
    mode?: Mode,
  ): unknown {
    return this.#engine.execute(ticket, kind, sql, params, timeoutMs, mode)
  }

  perform(ticket: number, work: Work, timeoutMs: number): Soon<Done> {
    return this.#engine.perform(ticket, work, timeoutMs)
  }

  override alone(work: Work, options: CallOptions | undefined): Soon<Done> {
    if (this.#isClosed) throw this.closedError()
    return this.#engine.alone(work, options)
  }

  begin(ticket: number, immediate: boolean): Soon<number> {
    return this.#engine.begin(ticket, immediate)
  }

  commit(ticket: number, depth: number): Soon<boolean> {
    return this.#engine.commit(ticket, depth)
  }

  rollback(ticket: number, depth: number): void {
    this.#engine.rollback(ticket, depth)
  }

  loadWhatLacks(error: unknown): Promise<void> {
    return this.#engine.loadWhatLacks(error)
  }

  watch(sql: string): Soon<number> {
    return this.#engine.watch(sql)
  }

  unwatch(id: number): void {
    this.#engine.unwatch(id)
  }

  heard(type: string): void {
    this.#engine.heard(type)
  }

  override inside<T>(work: () => T): T {
    return this.#engine.inside(work)
  }

  override later(start: () => void): void {
    this.#engine.later(start)
  }

  override startLate(): void {
    this.#engine.startLate()
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
