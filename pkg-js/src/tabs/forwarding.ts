import type { Encryption } from '../base/encryption.js'
import type { TidelockError } from '../base/errors.js'
import type { Handlers } from '../rpc/channel.js'
import { unknownWhether } from '../rpc/client-session.js'
import type { Limit, Unit, WorkerMethods } from '../rpc/protocol.js'
import { isRepeatable } from './core-calls.js'
import { rolledBack, type Sending, Sendings } from './sending.js'
import { Lost, Numbers, type Serving } from './serving.js'
import { Units, writes } from './write-ids.js'

/** A turn that was taken, by the number by which this tab knows it. */
interface Ticket {
  readonly serving: Serving
  readonly theirs: number
  /** The number of its commit. */
  unit?: number
  /** That was found to be applied, by somebody else than whom it was sent to. */
  applied?: boolean
}

type Methods = Omit<WorkerMethods, 'open' | 'close' | 'page' | 'attach' | 'detach'>

/** The calls of a tab, handed on to whoever serves it: method by method, what may be sent again, and what else is to happen. */
export class Forwarding {
  readonly handlers: Handlers<Methods>
  readonly sendings = new Sendings()
  readonly numbers = new Numbers()
  /** The events that somebody listens to. */
  readonly heard = new Set<string>()
  readonly #units = new Units()
  readonly #tickets = new Map<number, Ticket>()
  readonly #onRekeyed: (encryption: Encryption | null) => void
  #actor: string | undefined

  /** `onRekeyed`: this tab has given the database another secret. */
  constructor(onRekeyed: (encryption: Encryption | null) => void) {
    this.#onRekeyed = onRekeyed
    this.handlers = this.#handlers()
  }

  /** Somebody serves from now on; `first` comes before the calls that wait. */
  serve(serving: Serving, first: () => void): void {
    void this.sendings.serve(serving, () => {
      if (this.#actor !== undefined) serving.channel.ask('actor', [this.#actor]).catch(() => {})
      if (!serving.own) for (const type of this.heard) serving.channel.tell('heard', [type])
      first()
    })
  }

  /** The number by which calls know a turn that somebody has given. */
  take(serving: Serving, theirs: number): number {
    const ours = this.numbers.next()
    this.#tickets.set(ours, { serving, theirs })
    return ours
  }

  /** That turn is over. */
  drop(ticket: number): void {
    this.#tickets.delete(ticket)
  }

  #handlers(): Handlers<Methods> {
    return {
      heard: (_, type) => {
        this.heard.add(type)
        this.sendings.tell(({ channel }) => channel.tell('heard', [type]))
      },
      run: (signal, work, ticket, limit) =>
        ticket === 0
          ? this.#unit({ signal, limit }, writes(work), (serving, unit) => serving.run(work, 0, limit, unit, signal))
          : this.#onTicket(ticket, ({ serving, theirs }) => serving.run(work, theirs, limit)),
      turn: (signal, limit) => this.#turn(signal, limit),
      leave: (_, ticket) => {
        const held = this.#tickets.get(ticket)
        if (held === undefined) return
        if (!held.serving.ended) held.serving.channel.tell('leave', [held.theirs])
        this.#tickets.delete(ticket)
      },
      begin: (_, ticket, immediate) =>
        this.#onTicket(ticket, ({ serving, theirs }) => serving.channel.ask('begin', [theirs, immediate])),
      commit: (_, ticket, depth) => this.#commit(ticket, depth),
      rollback: (_, ticket, depth) => {
        const held = this.#tickets.get(ticket)
        if (held !== undefined && !held.serving.ended) held.serving.channel.tell('rollback', [held.theirs, depth])
      },
      stored: (_, ticket) => this.#stored(ticket),
      watch: (_, sql) =>
        this.#repeatable({}, async (serving) => {
          const theirs = await serving.channel.ask('watch', [sql])
          const ours = this.numbers.next()
          serving.watched.set(theirs, ours)
          return ours
        }),
      unwatch: (_, id) =>
        this.sendings.tell(({ channel, watched }) => {
          for (const [theirs, ours] of watched) {
            if (ours !== id) continue
            watched.delete(theirs)
            channel.tell('unwatch', [theirs])
          }
        }),
      core: (_, method, ...args) => this.#core(method, args),
      applied: (_, unit) => this.#wasApplied(unit),
      actor: (_, actor) => {
        this.#actor = actor
      },
    }
  }

  #repeatable<T>(
    given: Pick<Sending<T>, 'signal' | 'limit' | 'late'>,
    send: (serving: Serving) => Promise<T>,
  ): Promise<T> {
    return this.sendings.call({ ...given, send, onLost: () => 'again' })
  }

  /** Something on a turn of its own, that happens once. */
  async #unit<T>(
    given: Pick<Sending<T>, 'signal' | 'limit'>,
    mayWrite: boolean,
    send: (serving: Serving, unit: Unit | undefined) => Promise<T>,
  ): Promise<T> {
    if (!mayWrite) return this.#repeatable(given, (serving) => send(serving, undefined))
    const id = this.#units.begin()
    try {
      return await this.sendings.call({
        ...given,
        writes: true,
        send: (serving, again) => send(serving, serving.notes || again ? this.#units.describe(id, again) : undefined),
        onLost: (serving) => (serving.notes ? 'again' : unknownWhether('This write')),
      })
    } finally {
      this.#units.end(id)
    }
  }

  #turn(signal: AbortSignal | undefined, limit: Limit | undefined): Promise<number> {
    const take = async (serving: Serving) => {
      return this.take(serving, await serving.channel.ask('turn', [limit], { signal }))
    }
    const late = (ours: number, { channel }: Serving) => {
      channel.tell('leave', [this.#tickets.get(ours)?.theirs as number])
      this.#tickets.delete(ours)
    }
    return this.#repeatable({ signal, limit, late }, take)
  }

  /** Something on a turn that was taken: it is over with whoever gave that. */
  #onTicket<T>(
    ticket: number,
    send: (ticket: Ticket) => Promise<T>,
    onLost: () => TidelockError = rolledBack,
  ): Promise<T> {
    const held = this.#tickets.get(ticket)
    if (held === undefined || held.serving.ended) return Promise.reject(onLost())
    return send(held).catch((error) => {
      throw held.serving.isLost(error) ? onLost() : error
    })
  }

  async #commit(ticket: number, depth: number): Promise<boolean> {
    const held = this.#tickets.get(ticket)
    if (depth > 1 || held === undefined || held.serving.ended)
      return this.#onTicket(ticket, ({ serving, theirs }) => serving.channel.ask('commit', [theirs, depth]))
    const { serving, theirs } = held
    const id = this.#units.begin()
    let wrote = false
    try {
      const unit = serving.notes ? this.#units.describe(id, false) : undefined
      wrote = await serving.channel.ask('commit', [theirs, depth, unit])
    } catch (error) {
      if (!serving.isLost(error)) throw error
      if (!serving.notes) throw unknownWhether('A commit')
      if (!(await this.#wasApplied(id))) throw rolledBack()
      held.applied = true
      wrote = true
    } finally {
      if (wrote) held.unit = id
      else this.#units.end(id)
    }
    return wrote
  }

  async #stored(ticket: number): Promise<void> {
    const held = this.#tickets.get(ticket)
    if (held?.unit === undefined) return
    try {
      if (held.applied) return
      if (held.serving.ended) throw new Lost()
      await held.serving.channel.ask('stored', [held.theirs])
    } catch (error) {
      if (!held.serving.isLost(error)) throw error
      if (!held.serving.notes) throw unknownWhether('A commit')
      if (!(await this.#wasApplied(held.unit))) throw rolledBack()
    } finally {
      this.#units.end(held.unit)
    }
  }

  #wasApplied(unit: number): Promise<boolean> {
    return this.#repeatable({}, ({ channel }) => channel.ask('applied', [unit]))
  }

  #core(method: string, args: readonly unknown[]): unknown {
    switch (method) {
      case 'cancel':
      case 'dropCancel':
        return this.sendings.tell(({ channel }) => channel.tell('core', [method, ...args]))
      case 'setActor':
        this.#actor = args[0] as string | undefined
        return this.#repeatable({}, ({ channel }) => channel.ask('actor', [this.#actor]))
      case 'rekey':
        return this.#rekey(args[0] as Encryption | null)
      default:
        return isRepeatable(method)
          ? this.#repeatable({}, ({ channel }) => channel.ask('core', [method, ...args]))
          : this.#once(method, args)
    }
  }

  /** What encrypts a database never leaves the tab that was given it: that one leads before its own engine is asked. */
  async #rekey(encryption: Encryption | null): Promise<void> {
    await this.sendings.call<unknown>({
      writes: true,
      send: async (serving) => {
        if (serving.own) return serving.channel.ask('core', ['rekey', encryption])
        serving.handOver()
        throw new Lost()
      },
      onLost: ({ own }) => (own ? unknownWhether('The call rekey') : 'again'),
    })
    this.#onRekeyed(encryption)
  }

  #once(method: string, args: readonly unknown[]): Promise<unknown> {
    return this.sendings.call<unknown>({
      writes: true,
      send: ({ channel }) => channel.ask('core', [method, ...args]),
      onLost: () => unknownWhether(`The call ${method}`),
    })
  }
}
