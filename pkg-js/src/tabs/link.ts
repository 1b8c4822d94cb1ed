import type { CoreEvent } from '../core.js'
import { isTidelockError, TidelockError } from '../errors.js'
import type { Encryption } from '../options.js'
import { Channel, GivenUp, type Handlers, type Message } from '../worker/channel.js'
import { unknownWhether } from '../worker/desk.js'
import type { Moment } from '../worker/page-life.js'
import type { Limit, Opening, PageMethods, Unit, WorkerMethods } from '../worker/protocol.js'
import { fromThrown, toThrown } from '../worker/thrown.js'
import { type Engine, engineHere, engineInWorker } from './engine.js'
import { type Facts, factsOf } from './facts.js'
import { Following } from './following.js'
import { Leading } from './leading.js'
import { type HeldLock, heldBehind, hold } from './locks.js'
import { rolledBack, type Sending, Sendings } from './sending.js'
import { Lost, Numbers, Serving } from './serving.js'
import { isRepeatable, mayWrite, Units } from './units.js'
import { type Call, namesOf } from './wire.js'

/** Deaths of this tab's engine that are one too many, within that time. */
const [maxDeaths, deathsWithinMs] = [5, 60_000]

/** A turn that was taken, by the number by which this tab knows it. */
interface Ticket {
  readonly serving: Serving
  readonly theirs: number
  /** The number of its commit. */
  unit?: number
  /** That was found to be applied, by somebody else than whom it was sent to. */
  applied?: boolean
}

/** What a tab has while it leads. */
interface Led {
  readonly desk: Leading
  readonly engine: Engine
  readonly serving: Serving
}

/**
 * One tab of a shared database, between its calls and whoever has the engine. To its page it is what a worker is: the same messages go to
 * and fro. It leads or follows, and changes from one to the other.
 */
export class Link {
  readonly channel: Channel<PageMethods, WorkerMethods>
  /** Resolves when it holds nothing any more. */
  readonly gone: Promise<void>
  #isGone!: () => void
  readonly #startWorker: (() => Worker) | undefined
  readonly #id = crypto.randomUUID()
  #opening!: Opening
  #facts!: Facts
  #encryption: Encryption | undefined
  #sendings!: Sendings
  readonly #units = new Units()
  readonly #numbers = new Numbers()
  readonly #tickets = new Map<number, Ticket>()
  readonly #heard = new Set<string>()
  #actor: string | undefined
  #client: HeldLock | undefined
  #lock: HeldLock | undefined
  #leading: Led | undefined
  #following: { readonly desk: Following; readonly queue: AbortController } | undefined
  #all: BroadcastChannel | undefined
  #opened: { resolve(): void; reject(error: unknown): void } | undefined
  /** Whether it was ever served: before that, what fails is an opening. */
  #wasServed = false
  #seeded = false
  #ended = false
  readonly #deaths: number[] = []

  /** `post` takes messages to the page; with `startWorker` engines live in workers. */
  constructor(post: (message: Message) => void, startWorker: (() => Worker) | undefined) {
    this.channel = new Channel<PageMethods, WorkerMethods>(post, this.#handlers())
    this.#startWorker = startWorker
    this.gone = new Promise((resolve) => {
      this.#isGone = resolve
    })
  }

  /** Lets go of everything; a leader's engine is left as it is. */
  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#sendings?.refuse(new TidelockError('closed', 'The database is closed', { hint: 'Open it again' }))
    this.#all?.close()
    this.#stopFollowing()
    const leading = this.#leading
    this.#leading = undefined
    leading?.desk.end()
    leading?.serving.end()
    const engine = leading?.engine.end(new Lost()) ?? Promise.resolve()
    engine.then(() => {
      this.#lock?.release()
      this.#client?.release()
      this.#isGone()
    })
  }

  // What the page asks.

  #handlers(): Handlers<WorkerMethods> {
    return {
      open: (_, opening) => this.#open(opening),
      close: () => this.#close(),
      heard: (_, type) => {
        this.#heard.add(type)
        this.#sendings?.tell(({ channel }) => channel.tell('heard', [type]))
      },
      page: (_, moment: Moment) => {
        if (this.#leading?.engine.mayDie) this.#leading.engine.channel.tell('page', [moment])
      },
      statement: (signal, kind, sql, areas, limit) =>
        this.#unit({ signal, limit }, mayWrite(sql), (serving, unit) =>
          serving.channel
            .ask('statement', [kind, sql, areas, limit, unit], { signal })
            .then((result) => serving.result(result)),
        ),
      batchAlone: (signal, statements, limit) =>
        this.#unit(
          { signal, limit },
          statements.some(({ sql }) => mayWrite(sql)),
          (serving, unit) =>
            serving.channel
              .ask('batchAlone', [statements, limit, unit], { signal })
              .then((results) => results.map((result) => serving.result(result))),
        ),
      scriptAlone: (signal, script, limit) =>
        this.#unit({ signal, limit }, true, (serving, unit) =>
          serving.channel.ask('scriptAlone', [script, limit, unit], { signal }),
        ),
      explainAlone: (signal, sql, limit) =>
        this.#repeatable({ signal, limit }, ({ channel }) => channel.ask('explainAlone', [sql, limit], { signal })),
      turn: (signal, limit) => this.#turn(signal, limit),
      leave: (_, ticket) => {
        const held = this.#tickets.get(ticket)
        if (held === undefined) return
        if (!held.serving.ended) held.serving.channel.tell('leave', [held.theirs])
        // What it committed is still asked for.
        if (held.unit === undefined) this.#tickets.delete(ticket)
      },
      execute: (_, ticket, ...rest) =>
        this.#onTicket(ticket, ({ serving, theirs }) =>
          serving.channel.ask('execute', [theirs, ...rest]).then((result) => serving.result(result)),
        ),
      begin: (_, ticket, immediate) =>
        this.#onTicket(ticket, ({ serving, theirs }) => serving.channel.ask('begin', [theirs, immediate])),
      commit: (_, ticket, depth) => this.#commit(ticket, depth),
      rollback: (_, ticket, depth) => {
        const held = this.#tickets.get(ticket)
        if (held !== undefined && !held.serving.ended) held.serving.channel.tell('rollback', [held.theirs, depth])
      },
      batch: (_, ticket, ...rest) =>
        this.#onTicket(ticket, async ({ serving, theirs }) => {
          const [results, wrote] = await serving.channel.ask('batch', [theirs, ...rest])
          return [results.map((result) => serving.result(result)), wrote] as const
        }),
      script: (_, ticket, ...rest) =>
        this.#onTicket(ticket, ({ serving, theirs }) => serving.channel.ask('script', [theirs, ...rest])),
      explain: (_, ticket, sql) =>
        this.#onTicket(ticket, ({ serving, theirs }) => serving.channel.ask('explain', [theirs, sql])),
      stored: (_, ticket) => this.#stored(ticket),
      watch: (_, sql) =>
        this.#repeatable({}, async (serving) => {
          const theirs = await serving.channel.ask('watch', [sql])
          const ours = this.#numbers.next()
          serving.watched.set(theirs, ours)
          return ours
        }),
      unwatch: (_, id) =>
        this.#sendings.tell(({ channel, watched }) => {
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
      attach: () => {},
      detach: () => {},
    }
  }

  #repeatable<T>(
    given: Pick<Sending<T>, 'signal' | 'limit' | 'late'>,
    send: (serving: Serving) => Promise<T>,
  ): Promise<T> {
    return this.#sendings.call({ ...given, send, onLost: () => 'again' })
  }

  /** Something on a turn of its own, that happens once. */
  async #unit<T>(
    given: Pick<Sending<T>, 'signal' | 'limit'>,
    writes: boolean,
    send: (serving: Serving, unit: Unit | undefined) => Promise<T>,
  ): Promise<T> {
    if (!writes) return this.#repeatable(given, (serving) => send(serving, undefined))
    const id = this.#units.begin()
    try {
      return await this.#sendings.call({
        ...given,
        writes,
        send: (serving, again) => send(serving, serving.notes || again ? this.#units.describe(id, again) : undefined),
        onLost: (serving) => (serving.notes ? 'again' : unknownWhether('This write')),
      })
    } finally {
      this.#units.end(id)
    }
  }

  #turn(signal: AbortSignal | undefined, limit: Limit | undefined): Promise<number> {
    const take = async (serving: Serving) => {
      const theirs = await serving.channel.ask('turn', [limit], { signal })
      const ours = this.#numbers.next()
      this.#tickets.set(ours, { serving, theirs })
      return ours
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
      throw error instanceof Lost ? onLost() : error
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
      if (!(error instanceof Lost)) throw error
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
    if (held?.unit === undefined || held.applied) return this.#settled(ticket)
    try {
      if (held.serving.ended) throw new Lost()
      await held.serving.channel.ask('stored', [held.theirs])
    } catch (error) {
      if (!(error instanceof Lost)) throw error
      if (!held.serving.notes) throw unknownWhether('A commit')
      if (!(await this.#wasApplied(held.unit))) throw rolledBack()
    } finally {
      this.#settled(ticket)
    }
  }

  #settled(ticket: number): void {
    const unit = this.#tickets.get(ticket)?.unit
    if (unit !== undefined) this.#units.end(unit)
    this.#tickets.delete(ticket)
  }

  #wasApplied(unit: number): Promise<boolean> {
    return this.#repeatable({}, ({ channel }) => channel.ask('applied', [unit]))
  }

  #core(method: string, args: readonly unknown[]): unknown {
    switch (method) {
      case 'cancel':
      case 'dropCancel':
        return this.#sendings.tell(({ channel }) => channel.tell('core', [method, ...args]))
      case 'setActor':
        this.#actor = args[0] as string | undefined
        return this.#repeatable({}, ({ channel }) => channel.ask('actor', [this.#actor]))
      case 'rekey':
        return this.#once(method, args).then(() => {
          const rekeyed = args[0] as Encryption | null
          this.#all?.postMessage({ rekeyed } satisfies Call)
          return this.#rekeyed(rekeyed)
        })
      default:
        return isRepeatable(method)
          ? this.#repeatable({}, ({ channel }) => channel.ask('core', [method, ...args]))
          : this.#once(method, args)
    }
  }

  #once(method: string, args: readonly unknown[]): Promise<unknown> {
    return this.#sendings.call<unknown>({
      writes: true,
      send: ({ channel }) => channel.ask('core', [method, ...args]),
      onLost: () => unknownWhether(`The call ${method}`),
    })
  }

  async #rekeyed(encryption: Encryption | null): Promise<void> {
    this.#encryption = encryption ?? undefined
    this.#facts = await factsOf(this.#opening.checked, this.#encryption)
  }

  // Opening and closing.

  async #open(opening: Opening): Promise<void> {
    const { checked, encryption } = opening
    this.#opening = opening
    this.#encryption = encryption
    for (const type of opening.heard) this.#heard.add(type)
    this.#sendings = new Sendings(checked.lockTimeoutMs)
    this.#facts = await factsOf(checked, encryption)
    const names = namesOf(checked.name)
    this.#client = await hold(names.client + this.#id, {})
    if (this.#ended) return this.#client?.release()
    this.#all = new BroadcastChannel(names.all)
    this.#all.onmessage = ({ data }: MessageEvent<Call>) => {
      if ('rekeyed' in data) void this.#rekeyed(data.rekeyed)
    }
    const served = new Promise<void>((resolve, reject) => {
      this.#opened = { resolve, reject }
    })
    const lock = await hold(names.leader, { ifAvailable: true })
    if (lock === undefined) this.#follow()
    else this.#lead(lock, checked.onBusy)
    return served
  }

  async #close(): Promise<void> {
    const leading = this.#leading
    try {
      if (leading === undefined) return await this.#sendings.settled()
      await this.#closeEngine(leading)
    } finally {
      this.end()
    }
  }

  /** It can't go on: everybody who waits is told, and it is closed. */
  #fail(error: unknown): void {
    if (this.#ended) return
    const opened = this.#opened
    this.#opened = undefined
    if (!this.#wasServed && opened !== undefined) opened.reject(error)
    else this.channel.tell('dead', [toThrown(error)])
    this.end()
  }

  // Following.

  #follow(): void {
    const { name, lockTimeoutMs } = this.#opening.checked
    const names = namesOf(name)
    const queue = new AbortController()
    const desk = new Following(
      name,
      this.#id,
      this.#facts,
      lockTimeoutMs,
      this.#numbers,
      (serving) => ({ event: (_, event) => this.#event(serving(), event) }),
      {
        welcomed: (serving) => this.#welcomed(serving),
        leaving: () => this.#sendings.pause(),
        refused: (error) => this.#refuse(error),
        unreachable: () => {
          if (this.#wasServed) this.#sendings.giveUp()
          else this.#fail(neverReached())
        },
        frozen: () => {
          this.#stopFollowing()
          void this.#take(hold(names.leader, { steal: true }), 'steal')
        },
      },
    )
    this.#following = { desk, queue }
    void this.#take(hold(names.leader, { signal: queue.signal }), 'wait')
  }

  #welcomed(serving: Serving): void {
    if (this.#wasServed || typeof this.#opening.functions !== 'object') this.#serve(serving, 'follower')
    else {
      this.#fail(
        new TidelockError('unsupported_environment', 'The functions of a tab that follows must come from a module', {
          hint: 'Pass functions: { module: URL }, the address of a module of them: any tab may come to lead',
          details: { option: 'functions' },
        }),
      )
    }
  }

  /** Leads as soon as the lock is here. */
  async #take(holding: Promise<HeldLock | undefined>, onBusy: 'wait' | 'steal'): Promise<void> {
    let lock: HeldLock | undefined
    try {
      lock = await holding
    } catch {
      return // it gave up its place in the line
    }
    if (lock === undefined) return
    if (this.#ended) return lock.release()
    this.#stopFollowing()
    this.#lead(lock, this.#wasServed || onBusy === 'steal' ? onBusy : this.#opening.checked.onBusy)
  }

  #stopFollowing(): void {
    const following = this.#following
    this.#following = undefined
    following?.queue.abort()
    following?.desk.end()
  }

  /** The leader's app is another one: it lets this tab in no more. */
  #refuse(error: unknown): void {
    if (this.#wasServed) {
      this.#stopFollowing()
      this.#sendings.refuse(error)
    } else this.#fail(error)
  }

  // Leading.

  /** Leads; what can't be opened ends this tab. */
  #lead(lock: HeldLock, onBusy: Opening['checked']['onBusy']): void {
    this.#tryToLead(lock, onBusy).catch((error) => this.#fail(error))
  }

  /** Opens the engine, and serves. A lock that another tab takes away ends it, and makes this one a follower. */
  async #tryToLead(lock: HeldLock, onBusy: Opening['checked']['onBusy']): Promise<void> {
    this.#lock = lock
    this.#sendings.pause()
    const { name } = this.#opening.checked
    const events = {
      failed: (error: unknown) => fail(error),
      crashed: (cause: unknown) => (this.#leading === leading ? this.#crashed(lock, cause) : fail(cause)),
    }
    let fail: (error: unknown) => void = () => {}
    const failed = new Promise<never>((_, reject) => {
      fail = reject
    })
    const handlers = this.#engineHandlers(() => leading.serving)
    const engine =
      this.#startWorker === undefined ? engineHere(handlers) : engineInWorker(this.#startWorker(), handlers, events)
    const leading = {
      engine,
      desk: new Leading(
        name,
        () => this.#facts,
        engine,
        () => void this.#handOver(),
      ),
      serving: new Serving(engine.channel, this.#numbers, { notes: engine.mayDie, own: true }),
    }
    this.#leading = leading
    const lost = lock.lost.then(() => {
      throw new Lost()
    })
    lost.catch(() => {
      if (this.#leading === leading) void this.#demote()
    })
    try {
      await Promise.race([engine.channel.ask('open', [await this.#openingFor(onBusy)]), failed, lost])
    } catch (error) {
      if (this.#leading === leading && !this.#ended && !(error instanceof Lost)) await this.#notOpened(lock, error)
      return
    }
    if (this.#leading !== leading || this.#ended) return
    this.#seeded = true
    leading.desk.serve()
    this.#serve(leading.serving, 'leader')
  }

  async #openingFor(onBusy: Opening['checked']['onBusy']): Promise<Opening> {
    const { checked, has, ...opening } = this.#opening
    const alive = await heldBehind(namesOf(checked.name).client)
    return {
      ...opening,
      checked: { ...checked, onBusy },
      encryption: this.#encryption,
      has: { ...has, seed: has.seed && !this.#seeded && !this.#wasServed },
      heard: [...this.#heard],
      tabs: { own: this.#id, alive },
    }
  }

  /** The engine could not be opened. Who was served before goes on trying while another tab has the database for itself. */
  async #notOpened(lock: HeldLock, error: unknown): Promise<void> {
    await this.#dropEngine()
    const busy = isTidelockError(error, 'lock_timeout') || isTidelockError(error, 'database_in_use')
    if (this.#wasServed && busy && !this.#ended) return this.#lead(lock, 'wait')
    this.#fail(error)
  }

  /** Finishes what was begun, and stores it; nothing new is taken on. */
  async #closeEngine({ desk, engine, serving }: Led): Promise<void> {
    serving.leaving = true
    desk.leave()
    await engine.channel.ask('close', [])
  }

  async #dropEngine(): Promise<void> {
    const leading = this.#leading
    this.#leading = undefined
    if (leading === undefined) return
    leading.desk.end()
    leading.serving.end()
    await leading.engine.end(new Lost())
  }

  /** Another tab has taken the lock away, because this one was frozen. The engine tells its own calls what became of them. */
  async #demote(): Promise<void> {
    const leading = this.#leading
    if (leading === undefined || leading.serving.leaving || this.#ended) return
    this.#sendings.pause()
    await Promise.race([
      this.#closeEngine(leading).catch(() => {}),
      new Promise((resolve) => setTimeout(resolve, 1000)),
    ])
    await this.#dropEngine()
    this.#lock = undefined
    if (!this.#ended) this.#follow()
  }

  /** A newer version of the app is to lead: finishes what was begun, stores it, and lets it. */
  async #handOver(): Promise<void> {
    const leading = this.#leading
    if (leading === undefined || leading.serving.leaving || this.#ended) return
    this.#sendings.pause()
    await this.#closeEngine(leading).catch(() => {})
    if (this.#leading !== leading) return
    const lock = this.#lock
    await this.#dropEngine()
    this.#lock = undefined
    if (this.#ended) return
    // Its own place in the line is behind the others'.
    lock?.release()
    this.#follow()
  }

  /** The worker of this tab's engine died: another one opens the database. */
  async #crashed(lock: HeldLock, cause: unknown): Promise<void> {
    const now = Date.now()
    this.#deaths.push(now)
    while ((this.#deaths[0] as number) < now - deathsWithinMs) this.#deaths.shift()
    const error = new TidelockError('worker_crashed', 'The worker of this database died', {
      details: { applied: null },
      cause,
    })
    if (!this.#wasServed || this.#deaths.length > maxDeaths) return this.#fail(error)
    this.#sendings.pause()
    await this.#dropEngine()
    if (this.#ended) return
    const detail = { code: 'worker_crashed', message: 'The worker of this database died; another one takes its place' }
    this.channel.tell('event', [{ type: 'warning', detail }])
    this.#lead(lock, 'wait')
  }

  /** What an engine of this tab asks of its page, which answers. */
  #engineHandlers(serving: () => Serving) {
    const page = this.channel
    return {
      event: (_: unknown, event: CoreEvent) => this.#event(serving(), event),
      dead: (_: unknown, error: Parameters<PageMethods['dead']>[0]) => this.#fail(fromThrown(error)),
      migrate: (_: unknown, version: string, direction: 'up' | 'down', theirs: number) => {
        const ours = this.#numbers.next()
        this.#tickets.set(ours, { serving: serving(), theirs })
        return page.ask('migrate', [version, direction, ours]).finally(() => this.#tickets.delete(ours))
      },
      fetch: (signal: AbortSignal | undefined, ...args: Parameters<PageMethods['fetch']>) =>
        page.ask('fetch', args, { signal }).catch((error: unknown) => {
          throw error instanceof GivenUp ? error.reason : error
        }),
      accessToken: () => page.ask('accessToken', []),
      nextSnapshot: (_: unknown, after: number) => page.ask('nextSnapshot', [after]),
      resolveConflict: (_: unknown, ...args: Parameters<PageMethods['resolveConflict']>) =>
        page.ask('resolveConflict', args),
      seed: () => page.ask('seed', []),
      part: (_: unknown, ...args: Parameters<PageMethods['part']>) => page.ask('part', args),
    }
  }

  #event(serving: Serving, event: CoreEvent): void {
    const { type, detail } = event
    if (type === 'live') {
      const ids = (detail as { ids: number[] }).ids.flatMap((theirs) => serving.watched.get(theirs) ?? [])
      if (ids.length > 0) this.channel.tell('event', [{ type, detail: { ids } }])
      return
    }
    // It goes on as a follower of whoever took the lock.
    if (type === 'lock' && (detail as { state: string }).state === 'lost') {
      if (this.#leading?.serving === serving) void this.#demote()
      return
    }
    // The end of an engine is that of the database only where nobody here has ended it.
    if (type === 'close' && (serving.leaving || !serving.own)) return
    this.channel.tell('event', [event])
  }

  /** Somebody serves this tab from now on. */
  #serve(serving: Serving, role: 'leader' | 'follower'): void {
    const renewed = this.#wasServed
    this.#wasServed = true
    void this.#sendings.serve(serving, () => {
      if (this.#actor !== undefined) serving.channel.ask('actor', [this.#actor]).catch(() => {})
      if (!serving.own) for (const type of this.#heard) serving.channel.tell('heard', [type])
      this.channel.tell('role', [role])
      if (renewed) this.channel.tell('renewed', [])
      this.#opened?.resolve()
      this.#opened = undefined
    })
  }
}

function neverReached(): TidelockError {
  return new TidelockError('leader_unreachable', 'The tab that has the database does not answer', {
    hint: 'It may be frozen in the background: try again, or close the other tabs of this page',
    details: { applied: false },
  })
}
