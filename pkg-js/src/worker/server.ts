import { Bridge } from '../bridge.js'
import { type CallsOptions, soon } from '../connection.js'
import { TidelockError } from '../errors.js'
import type { createDatabaseInstance } from '../instance.js'
import type { CallOptions } from '../values.js'
import { timedOut } from '../waiting.js'
import { Channel, type Handlers, type Message, Moved } from './channel.js'
import { worthMoving } from './flat-codec.js'
import { type Limit, left, type Opening, type PageMethods, type Result, type WorkerMethods } from './protocol.js'
import { RemoteUser } from './remote-user.js'
import { ServedCalls } from './served-calls.js'
import { toThrown } from './thrown.js'

/** Serves one database to the page that made this worker. */
export class Server {
  readonly channel: Channel<PageMethods, WorkerMethods>
  readonly #createInstance: typeof createDatabaseInstance
  readonly #user: RemoteUser
  #calls: ServedCalls | undefined
  #open = false
  #becomeOpen!: () => void
  readonly #opened: Promise<void>
  /** The turns that were given to the page, and how each is given back. */
  readonly #turns = new Map<number, () => void>()
  /** What these tickets committed, on its way into storage, until the page asks for it. */
  readonly #stored = new Map<number, Promise<void>>()

  constructor(
    post: (message: Message, transfer: readonly ArrayBuffer[]) => void,
    createInstance: typeof createDatabaseInstance,
  ) {
    this.#createInstance = createInstance
    this.channel = new Channel<PageMethods, WorkerMethods>(post, this.#handlers())
    this.#user = new RemoteUser(this.channel)
    this.#opened = new Promise((resolve) => {
      this.#becomeOpen = resolve
    })
  }

  #handlers(): Handlers<WorkerMethods> {
    // What comes on a ticket comes while the database opens, too: from migrations.
    const onTicket = () => this.#served()
    return {
      open: (signal, opening) => this.#openIt(opening, signal),
      statement: (signal, kind, sql, areas, limit) =>
        this.#whenOpen((calls) => {
          // Without a promise, where there is nothing to wait for.
          const quick = signal === undefined && limit === undefined ? calls.quick(kind, sql, areas) : undefined
          if (quick !== undefined) return soon(quick, moved)
          const options = optionsOf(limit)
          return signal === undefined
            ? (calls.statement(kind, sql, areas, options) as Promise<Result>).then(moved)
            : calls.stoppable(kind, sql, areas, options, signal).then(moved)
        }),
      turn: (signal, limit) => this.#whenOpen((calls) => this.#turn(calls, { ...optionsOf(limit), signal })),
      leave: (_, ticket) => {
        this.#turns.get(ticket)?.()
        this.#turns.delete(ticket)
      },
      execute: (_, ...given) => this.#again((calls) => moved(calls.execute(...given))),
      begin: (_, ticket, immediate) => onTicket().begin(ticket, immediate),
      commit: (_, ticket, depth) => this.#storing(ticket, onTicket().commit(ticket, depth)),
      rollback: (_, ticket, depth) => onTicket().rollback(ticket, depth),
      batch: (_, ticket, statements, timeoutMs) =>
        this.#again((calls) => {
          const [results, wrote] = calls.batch(ticket, statements as never, timeoutMs) as unknown as [Result[], boolean]
          this.#storing(ticket, wrote)
          return new Moved([results, wrote] as const, results.map(({ buffer }) => buffer).filter(worthMoving))
        }),
      script: (_, ticket, script, timeoutMs) =>
        this.#again((calls) => soon(calls.script(ticket, script, timeoutMs), (wrote) => this.#storing(ticket, wrote))),
      explain: (_, ticket, sql) => this.#again((calls) => calls.explain(ticket, sql)),
      stored: (_, ticket) => {
        const stored = this.#stored.get(ticket)
        this.#stored.delete(ticket)
        return stored
      },
      watch: (_, sql) => this.#whenOpen((calls) => calls.watch(sql)),
      unwatch: (_, id) => this.#calls?.unwatch(id),
      core: (_, method, ...args) =>
        this.#whenOpen((calls) => {
          const core = calls.core as unknown as Record<string, (...args: unknown[]) => unknown>
          const answer = calls.sync(() => core[method]?.(...args))
          return answer instanceof Promise ? calls.guard(answer).then(withBytes) : withBytes(answer)
        }),
      heard: (_, type) => {
        this.#user.heard(type)
        this.#calls?.heard(type)
      },
      page: (_, moment) => void dispatchEvent(new Event(moment)),
      close: () => this.#whenOpen((calls) => calls.close()),
    }
  }

  async #openIt(
    { checked, module, encryption, functions, columnKeys, has, heard }: Opening,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    this.#user.begin(has, heard)
    const bridge = new Bridge(checked, { encryption, functions, columnKeys, signal }, this.#user)
    const instance = await this.#createInstance(
      module,
      (part) => this.channel.ask('part', [part]),
      (trap) => bridge.trapped(trap),
    )
    const options: CallsOptions = {
      integers: checked.integers,
      warn: (detail) => this.#user.handle({ type: 'warning', detail }),
      refine: (error) => error,
      onDead: (error) => this.channel.tell('dead', [toThrown(error)]),
    }
    await bridge.open(instance, options, (core, given) => {
      this.#calls = new ServedCalls(core, instance.memory, given)
      if (this.#user.hears('change')) this.#calls.heard('change')
      return this.#calls
    })
    this.#open = true
    this.#becomeOpen()
  }

  #served(): ServedCalls {
    if (this.#calls === undefined) throw new TidelockError('closed', 'The database is not open yet')
    return this.#calls
  }

  /** At once when the database is open: so that calls begin in the order of their messages. */
  #whenOpen<T>(work: (calls: ServedCalls) => T): T | Promise<Awaited<T>> {
    if (this.#open) return work(this.#served())
    return this.#opened.then(() => work(this.#served())) as Promise<Awaited<T>>
  }

  /** What fails because a part of the engine is missing is run again when that is loaded. */
  #again<T>(work: (calls: ServedCalls) => T): T | Promise<Awaited<T>> {
    const calls = this.#served()
    try {
      return work(calls)
    } catch (error) {
      return calls.again(error, () => work(calls)) as Promise<Awaited<T>>
    }
  }

  /** What a commit wrote is waited for from the commit on: whether a later flush succeeds is none of its business. */
  #storing(ticket: number, wrote: boolean): boolean {
    const stored = wrote ? this.#served().stored() : undefined
    if (stored !== undefined) {
      stored.catch(() => {})
      this.#stored.set(ticket, stored)
    }
    return wrote
  }

  /** Takes the turn and keeps it until the page gives it back. */
  #turn(calls: ServedCalls, options: CallOptions): Promise<number> {
    return new Promise((resolve, reject) => {
      const taken = calls.withTurn(options, ({ ticket }) => {
        const kept = new Promise<readonly [undefined, boolean]>((end) => {
          this.#turns.set(ticket, () => end([undefined, false]))
        })
        resolve(ticket)
        return kept
      })
      taken.catch(reject)
    })
  }
}

/** What is left of the time; throws `timeout` when none is. */
function optionsOf(limit: Limit | undefined): CallOptions {
  if (limit === undefined) return {}
  const timeoutMs = left(limit)
  if (timeoutMs === 0) throw timedOut(limit.timeoutMs)
  return { timeoutMs }
}

function moved(result: Result): Moved<Result> | Result {
  return worthMoving(result.buffer) ? new Moved(result, [result.buffer]) : result
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
