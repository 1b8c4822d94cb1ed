import type { Encryption } from '../base/encryption.js'
import { isTidelockError, TidelockError } from '../base/errors.js'
import type { CoreEvent } from '../engine/core.js'
import { Channel, type Handlers, type Message } from '../rpc/channel.js'
import { Deaths } from '../rpc/deaths.js'
import type { Moment } from '../rpc/page-lifecycle.js'
import { type Opening, type PageMethods, questions, type WorkerMethods } from '../rpc/protocol.js'
import { fromThrown, toThrown } from '../rpc/thrown.js'
import { type Facts, factsOf, rekeyed } from './compatibility.js'
import { type Engine, type EngineHandlers, engineHere, engineInWorker } from './engine.js'
import { Following } from './follower.js'
import { Forwarding } from './forwarding.js'
import { Leading } from './leader.js'
import { type HeldLock, heldBehind, hold } from './locks.js'
import { type Prover, proverOf } from './prover.js'
import { unreachable } from './sending.js'
import { Lost, Serving } from './serving.js'
import { namesOf } from './wire.js'

/** So long a leader that closes waits for the transactions of other tabs. */
const finishWithinMs = 1000

/** What a tab has while it leads. */
interface Led {
  readonly desk: Leading
  readonly engine: Engine
  readonly serving: Serving
  /** Gives up opening the engine. */
  readonly opening: AbortController
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
  /** Proves that this tab has the database's secret. */
  #prover!: Promise<Prover>
  readonly #calls = new Forwarding((encryption) => {
    this.#secure(encryption ?? undefined)
    this.#leading?.desk.rekeyed()
  })
  #client: HeldLock | undefined
  #lock: HeldLock | undefined
  #leading: Led | undefined
  #following: { readonly desk: Following; readonly queue: AbortController } | undefined
  #opened: { resolve(): void; reject(error: unknown): void } | undefined
  /** Whether it was ever served: before that, what fails is an opening. */
  #wasServed = false
  #seeded = false
  #ended = false
  readonly #deaths = new Deaths()

  /** `post` takes messages to the page; with `startWorker` engines live in workers. */
  constructor(post: (message: Message) => void, startWorker: (() => Worker) | undefined) {
    this.channel = new Channel<PageMethods, WorkerMethods>(post, this.#handlers())
    this.#startWorker = startWorker
    this.gone = new Promise((resolve) => {
      this.#isGone = resolve
    })
  }

  /** Lets go of everything. */
  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#calls.sendings.refuse(new TidelockError('closed', 'The database is closed', { hint: 'Open it again' }))
    this.#stopFollowing()
    const leading = this.#leading
    this.#leading = undefined
    const engine = leading === undefined ? Promise.resolve() : this.#let(leading)
    engine.then(() => {
      this.#lock?.release()
      this.#client?.release()
      this.#isGone()
    })
  }

  // What the page asks.

  #handlers(): Handlers<WorkerMethods> {
    return {
      ...this.#calls.handlers,
      open: (_, opening) => this.#open(opening),
      close: () => this.#close(),
      page: (_, moment: Moment) => {
        if (this.#leading?.engine.mayDie) this.#leading.engine.channel.tell('page', [moment])
      },
      attach: () => {},
      detach: () => {},
    }
  }

  #secure(encryption: Encryption | undefined): void {
    this.#encryption = encryption
    this.#prover = proverOf(this.#opening.checked.name, encryption)
    // Whoever needs it hears of a failure.
    this.#prover.catch(() => {})
  }

  // Opening and closing.

  async #open(opening: Opening): Promise<void> {
    const { checked, encryption } = opening
    this.#opening = opening
    this.#secure(encryption)
    for (const type of opening.heard) this.#calls.heard.add(type)
    this.#calls.sendings.timeoutMs = checked.lockTimeoutMs
    this.#facts = await factsOf(checked)
    const names = namesOf(checked.name)
    this.#client = await hold(names.client + this.#id, {})
    if (this.#ended) return this.#client?.release()
    const served = new Promise<void>((resolve, reject) => {
      this.#opened = { resolve, reject }
    })
    const lock = await hold(names.leader, { ifAvailable: true })
    if (this.#ended) return lock?.release()
    if (lock === undefined) this.#follow()
    else this.#lead(lock, checked.onBusy)
    return served
  }

  async #close(): Promise<void> {
    const leading = this.#leading
    try {
      if (leading === undefined) await this.#calls.sendings.settled()
      else if (leading.serving === this.#calls.sendings.serving) await this.#closeEngine(leading)
    } catch (error) {
      // It was lost meanwhile, and is closed so.
      if (!(error instanceof Lost)) throw error
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
      () => this.#facts,
      () => this.#prover,
      lockTimeoutMs,
      this.#calls.numbers,
      (serving) => ({ event: (_, event) => this.#event(serving(), event) }),
      {
        welcomed: (serving) => this.#welcomed(serving),
        leaving: () => this.#calls.sendings.pause(),
        refused: (error) => this.#refuse(error),
        unreachable: () => {
          if (this.#wasServed) this.#calls.sendings.giveUp()
          else this.#fail(unreachable())
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

  /** The leader's app is another one, or the secret is: it lets this tab in no more. */
  #refuse(error: unknown): void {
    const isLocked = isTidelockError(error, 'closed') || isTidelockError(error, 'invalid_argument')
    if (this.#wasServed && isLocked) this.#fail(rekeyed())
    else if (this.#wasServed) {
      this.#stopFollowing()
      this.#calls.sendings.refuse(error)
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
    this.#calls.sendings.pause()
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
        () => this.#prover,
        engine,
        () => void this.#handOver(),
      ),
      serving: new Serving(engine.channel, this.#calls.numbers, { notes: engine.mayDie, own: true }),
      opening: new AbortController(),
    }
    this.#leading = leading
    const lost = lock.lost.then(() => {
      throw new Lost()
    })
    lost.catch(() => {
      if (this.#leading === leading) void this.#demote()
    })
    try {
      await Promise.race([
        engine.channel.ask('open', [await this.#openingFor(onBusy)], { signal: leading.opening.signal }),
        failed,
        lost,
      ])
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
      heard: [...this.#calls.heard],
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
    // A tab whose transaction doesn't end loses it, rather than that this one never ends.
    const timer = setTimeout(() => desk.end(), finishWithinMs)
    try {
      await engine.channel.ask('close', [])
    } finally {
      clearTimeout(timer)
    }
  }

  async #dropEngine(): Promise<void> {
    const leading = this.#leading
    this.#leading = undefined
    if (leading === undefined) return
    await this.#let(leading)
  }

  /** Lets go of an engine, whatever it does. */
  #let({ desk, engine, serving, opening }: Led): Promise<void> {
    opening.abort()
    desk.end()
    serving.end()
    return engine.end(new Lost())
  }

  /** Another tab has taken the lock away, because this one was frozen. The engine tells its own calls what became of them. */
  async #demote(): Promise<void> {
    const leading = this.#leading
    if (leading === undefined || leading.serving.leaving || this.#ended) return
    this.#calls.sendings.pause()
    await Promise.race([
      this.#closeEngine(leading).catch(() => {}),
      new Promise((resolve) => setTimeout(resolve, 1000)),
    ])
    await this.#dropEngine()
    this.#lock = undefined
    if (!this.#ended) this.#follow()
  }

  /** Another tab is to lead, because its app is newer, or to change the secret: finishes what was begun, stores it, and lets it. */
  async #handOver(): Promise<void> {
    const leading = this.#leading
    if (leading === undefined || leading.serving.leaving || this.#ended) return
    this.#calls.sendings.pause()
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
    const isOneTooMany = this.#deaths.note()
    const error = new TidelockError('worker_crashed', 'The worker of this database died', {
      details: { applied: null },
      cause,
    })
    if (!this.#wasServed || isOneTooMany) return this.#fail(error)
    this.#calls.sendings.pause()
    await this.#dropEngine()
    if (this.#ended) return
    const detail = { code: 'worker_crashed', message: 'The worker of this database died; another one takes its place' }
    this.channel.tell('event', [{ type: 'warning', detail }])
    this.#lead(lock, 'wait')
  }

  /** What an engine of this tab asks of its page, which answers. */
  #engineHandlers(serving: () => Serving): EngineHandlers {
    const page = this.channel
    return {
      event: (_, event) => this.#event(serving(), event),
      dead: (_, error) => this.#fail(fromThrown(error)),
      migrate: (_, version, direction, theirs) => {
        const ours = this.#calls.take(serving(), theirs)
        return page.ask('migrate', [version, direction, ours]).finally(() => this.#calls.drop(ours))
      },
      ...page.forwarding([...questions, 'fetch', 'seed', 'part']),
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
    this.#calls.serve(serving, () => {
      this.channel.tell('role', [role])
      if (renewed) this.channel.tell('renewed', [])
      this.#opened?.resolve()
      this.#opened = undefined
    })
  }
}
