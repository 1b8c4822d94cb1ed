import { TidelockError } from '../base/errors.js'
import type { CallOptions } from '../base/values.js'
import { timedOut } from '../base/waiting.js'
import { type Soon, soon } from '../engine/connection.js'
import type { CoreEvent } from '../engine/core.js'
import type { Done, Work } from '../engine/work.js'
import { type Handlers, Moved } from './channel.js'
import { breath } from './event-loop.js'
import { worthMoving } from './flat-codec.js'
import {
  type Area,
  type Limit,
  left,
  type Result,
  type ServedCalls,
  type Unit,
  type WorkerMethods,
} from './protocol.js'
import { replyBytes, replyOf } from './reply.js'

/** What the desks of one engine share. */
export interface Service {
  /** Undefined until the opening has come so far that migrations may use it. */
  readonly calls: ServedCalls | undefined
  /** Does the work at once when the database is open: so that calls begin in the order of their messages. */
  whenOpen<T>(work: (calls: ServedCalls) => T): T | Promise<Awaited<T>>
  /** Whom the engine takes for the actor at present. */
  actor: string | undefined
  /** The tabs that may still ask for the answers of their writes, when that is news to the database; else none. */
  takeAlive(): readonly string[]
}

type Methods = Omit<WorkerMethods, 'open' | 'close' | 'page' | 'attach' | 'detach'>

/** Serves one user of an engine: the page that made it, or another tab. */
export class Desk {
  readonly handlers: Handlers<Methods>
  readonly #service: Service
  /** The tab's id, where several share the database. */
  client: string
  /** The tickets of turns that were given away. */
  readonly #turns = new Set<number>()
  /** What these tickets committed, on its way into storage, until it is asked for. */
  readonly #stored = new Map<number, Promise<void>>()
  /** The shapes whose column names the other side has. */
  readonly #known = new Set<number>()
  readonly #watched = new Set<number>()
  readonly #heard = new Set<string>()
  #actor: string | undefined
  #ended = false

  constructor(service: Service, client: string) {
    this.#service = service
    this.client = client
    this.handlers = this.#handlers()
  }

  /** What of an event concerns this user, if anything does. */
  eventFor(event: CoreEvent): CoreEvent | undefined {
    if (event.type === 'change') return this.#heard.has('change') ? event : undefined
    if (event.type !== 'live') return event
    const ids = (event.detail as { readonly ids: readonly number[] }).ids.filter((id) => this.#watched.has(id))
    return ids.length === 0 ? undefined : { type: 'live', detail: { ids } }
  }

  /** Somebody listens to that event from now on. */
  hear(type: string): void {
    this.#heard.add(type)
    this.#service.calls?.heard(type)
  }

  /** The user is gone: what it had begun is rolled back, and its turns are the next one's. */
  end(): void {
    if (this.#ended) return
    this.#ended = true
    const { calls } = this.#service
    for (const id of this.#watched) calls?.unwatch(id)
    for (const ticket of this.#turns) {
      calls?.rollback(ticket, 1)
      calls?.leave(ticket)
    }
    this.#turns.clear()
  }

  #handlers(): Handlers<Methods> {
    // What comes on a ticket comes while the database opens, too: from migrations.
    const onTicket = () => this.#served()
    return {
      run: (signal, work, ticket, limit, unit) => {
        if (ticket === 0)
          return this.#service.whenOpen((calls) =>
            soon(this.#alone(calls, work, signal, limit, unit), (done) => this.#moved(done)),
          )
        const run = () => onTicket().perform(ticket, work, limit === undefined ? 0 : Math.max(1, left(limit)))
        return soon(this.#again(run), (done) => this.#moved(done))
      },
      turn: (signal, limit) => this.#service.whenOpen((calls) => this.#turn(calls, { ...optionsOf(limit), signal })),
      leave: (_, ticket) => {
        if (this.#turns.delete(ticket)) this.#service.calls?.leave(ticket)
      },
      begin: (_, ticket, immediate) => onTicket().begin(ticket, immediate),
      commit: (_, ticket, depth, unit) => {
        const calls = onTicket()
        if (unit !== undefined && depth <= 1) this.#note(calls, ticket, unit, [])
        return this.#storing(ticket, calls.commit(ticket, depth))
      },
      rollback: (_, ticket, depth) => onTicket().rollback(ticket, depth),
      stored: (_, ticket) => {
        const stored = this.#stored.get(ticket)
        this.#stored.delete(ticket)
        return stored
      },
      watch: (_, sql) =>
        this.#service.whenOpen((calls) => {
          const id = calls.watch(sql)
          this.#watched.add(id)
          return id
        }),
      unwatch: (_, id) => {
        this.#watched.delete(id)
        this.#service.calls?.unwatch(id)
      },
      core: (_, method, ...args) =>
        this.#service.whenOpen((calls) => {
          if (method === 'setActor') {
            this.#actor = args[0] as string | undefined
            this.#service.actor = this.#actor
          }
          const core = calls.core as unknown as Record<string, (...args: unknown[]) => unknown>
          const answer = calls.sync(() => core[method]?.(...args))
          return answer instanceof Promise ? calls.guard(answer).then(withBytes) : withBytes(answer)
        }),
      actor: (_, actor) => {
        this.#actor = actor
      },
      applied: (_, unit) =>
        this.#service.whenOpen((calls) =>
          calls.withTurn(undefined, ({ ticket }) => {
            const applied = this.#reply(calls, ticket, unit) !== undefined
            return [applied, applied] as const
          }),
        ),
      heard: (_, type) => this.hear(type),
    }
  }

  #served(): ServedCalls {
    const { calls } = this.#service
    if (calls === undefined)
      throw new TidelockError('closed', 'The database is not open yet', { hint: 'Please report this error' })
    return calls
  }

  /**
   * Something on a turn of its own, until it is stored. A caller that may give up has perhaps said so already, behind this in the line of
   * messages: so these are let in first. A unit is noted in its transaction with its answer; one that was applied before answers the same.
   * A script that has transactions of its own can't be noted.
   */
  #alone(
    calls: ServedCalls,
    work: Work<readonly Area[]>,
    signal: AbortSignal | undefined,
    limit: Limit | undefined,
    unit: Unit | undefined,
  ): Soon<Done<Result>> {
    // Without a promise, where there is nothing to wait for.
    if (signal === undefined && unit === undefined && this.#actor === this.#service.actor)
      return calls.alone(work, limit && optionsOf(limit))
    return calls.withTurn({ ...optionsOf(limit), signal }, async ({ ticket, timeoutMs }) => {
      if (signal !== undefined) {
        await breath()
        signal.throwIfAborted()
      }
      await this.#act(calls)
      const done = await this.#once(calls, ticket, unit, work, timeoutMs)
      return [done, done.wrote === true]
    })
  }

  /** Runs something, a unit once and for all. */
  async #once(
    calls: ServedCalls,
    ticket: number,
    unit: Unit | undefined,
    work: Work<readonly Area[]>,
    timeoutMs: number,
  ): Promise<Done<Result>> {
    const run = () => this.#again(() => calls.perform(ticket, work, timeoutMs))
    if (unit === undefined) return run()
    if (work[0] === 'script' && !calls.sync(() => calls.core.isWhole(work[1]))) {
      if (unit.again) throw unknownWhether('A script with transactions of its own')
      return run()
    }
    if (unit.again) {
      const reply = this.#reply(calls, ticket, unit.id)
      if (reply !== undefined) return { results: replyOf(reply), wrote: true }
    }
    const depth = calls.begin(ticket, false)
    try {
      const done = await run()
      this.#note(calls, ticket, unit, done.results)
      return { ...done, wrote: calls.commit(ticket, depth) }
    } catch (error) {
      calls.rollback(ticket, depth)
      throw error
    }
  }

  #note(calls: ServedCalls, ticket: number, unit: Unit, results: readonly Result[]): void {
    const { core } = calls
    const named = results.map((result) => ({ ...result, columns: core.columns(result.shape) }))
    const [client, alive, reply] = [this.client, this.#service.takeAlive(), replyBytes(named)]
    calls.sync(() => core.noteApplied(ticket, client, unit.id, unit.acknowledged, alive, reply))
  }

  #reply(calls: ServedCalls, ticket: number, unit: number): Uint8Array | undefined {
    return calls.sync(() => calls.core.applied(ticket, this.client, unit))
  }

  /** Has the engine take this user for the actor of what comes. Needs the turn. */
  async #act(calls: ServedCalls): Promise<void> {
    if (this.#actor === this.#service.actor) return
    this.#service.actor = this.#actor
    await calls.guard(Promise.resolve(calls.sync(() => calls.core.setActor(this.#actor))))
  }

  /** What fails because a part of the engine is missing is run again when that is loaded. */
  #again<T>(work: () => Soon<T>): Soon<T> {
    try {
      const working = work()
      const again = (error: unknown) => this.#served().again(error, work)
      return working instanceof Promise ? working.catch(again) : working
    } catch (error) {
      return this.#served().again(error, work)
    }
  }

  /**
   * What a commit wrote is waited for from the commit on: whether a later flush succeeds is none of its business. Whether there is anything to
   * wait for: the database may be closed before it could be asked.
   */
  #storing(ticket: number, wrote: boolean): boolean {
    const stored = wrote ? this.#served().stored() : undefined
    if (stored === undefined) return false
    stored.catch(() => {})
    this.#stored.set(ticket, stored)
    return true
  }

  /** Takes the turn and keeps it until the user gives it back. */
  async #turn(calls: ServedCalls, options: CallOptions): Promise<number> {
    const { ticket } = await calls.acquire(options)
    this.#turns.add(ticket)
    try {
      if (this.#ended) throw new Error('The user is gone')
      await this.#act(calls)
      return ticket
    } catch (error) {
      if (this.#turns.delete(ticket)) calls.leave(ticket)
      throw error
    }
  }

  /** A result with its column names, the first time that they come. */
  #named(result: Result): Result {
    if (this.#known.has(result.shape) || result.columns !== undefined) return result
    this.#known.add(result.shape)
    return { ...result, columns: this.#served().core.columns(result.shape) }
  }

  /** Its results with their column names, and in buffers that are moved where that is quicker. */
  #moved(done: Done<Result>): Moved<Done<Result>> {
    const results = done.results.map((result) => this.#named(result))
    return new Moved({ ...done, results }, results.map(({ buffer }) => buffer).filter(worthMoving))
  }
}

/** What is left of the time; throws `timeout` when none is. */
function optionsOf(limit: Limit | undefined): CallOptions {
  if (limit === undefined) return {}
  const timeoutMs = left(limit)
  if (timeoutMs === 0) throw timedOut(limit.timeoutMs)
  return { timeoutMs }
}

/** `leader_changed`, when nobody can know whether something was applied. */
export function unknownWhether(what: string): TidelockError {
  return new TidelockError('leader_changed', `${what} was under way when another tab became the leader`, {
    hint: 'Look whether it was applied before repeating it',
    details: { applied: null },
  })
}

/** Answers of the engine that are files bring their bytes along; these are nobody else's. */
function withBytes(answer: unknown): unknown {
  const pieces = Array.isArray(answer) ? answer : ((answer as { pieces?: unknown[] } | undefined)?.pieces ?? [answer])
  const bytes = pieces.filter((one): one is Uint8Array<ArrayBuffer> => one instanceof Uint8Array)
  return bytes.length === 0
    ? answer
    : new Moved(
        answer,
        bytes.map((one) => one.buffer),
      )
}
