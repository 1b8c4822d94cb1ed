import type { DatabaseSecrets } from '../base/database-secrets.js'
import type { Encryption } from '../base/encryption.js'
import { errorWith, isTidelockError, TidelockError } from '../base/errors.js'
import type { CoreEvent } from '../engine/core.js'
import { Channel, type Handlers, type Message } from '../rpc/channel.js'
import { CrashLimiter, tooManyCrashes } from '../rpc/crash-limiter.js'
import type { LifecycleEvent } from '../rpc/page-lifecycle.js'
import { forwardedCallbacks, type OpenRequest, type PageMethods, type WorkerMethods } from '../rpc/protocol.js'
import { isTransient, Reopening } from '../rpc/reopening.js'
import { deserializeError, serializeError } from '../rpc/serialized-error.js'
import { rekeyed, type TabInfo, tabInfoOf } from './compatibility.js'
import type { Engine, EngineEvents, EngineHandlers } from './engine.js'
import { Follower } from './follower.js'
import { Forwarding } from './forwarding.js'
import { Leader } from './leader.js'
import { acquireLock, type HeldLock, namesHeldUnder } from './locks.js'
import { namesOf } from './messages.js'
import { OwnEngine } from './own-engine.js'
import { unreachable } from './pending-calls.js'
import { type Prover, proverOf } from './prover.js'
import { EngineLost, type ServingEngine } from './serving-engine.js'

/** How long a tab that was in the queue waits for the database: the browser may end the former leader's locks one after the other. */
const leavingMs = 1000

/** Makes the engine of a tab that leads. */
export type StartEngine = (handlers: EngineHandlers, events: EngineEvents) => Engine

/** How an opening of the engine meets another holder; what is missing is as the options say. */
type Meeting = Partial<Pick<OpenRequest['checked'], 'onBusy' | 'lockTimeoutMs'>>

/** The codes of an opening that may succeed later. */
const busyCodes = ['lock_timeout', 'database_in_use', 'storage_blocked', 'lock_lost'] as const

/**
 * One tab of a shared database, between the page and the serving engine. To the page it behaves like a worker, with the same messages. It
 * leads or follows, and changes from one role to the other.
 */
export class SharedTab {
  readonly channel: Channel<PageMethods, WorkerMethods>
  /** Resolves after {@link end}, when all locks are released. */
  readonly released: Promise<void>
  #markReleased!: () => void
  readonly #startEngine: StartEngine
  readonly #id = crypto.randomUUID()
  #request!: OpenRequest
  #info!: TabInfo
  readonly #secrets: DatabaseSecrets
  /** Proves that this tab knows the secret of the database. */
  #prover!: Promise<Prover>
  readonly #forwarding = new Forwarding((encryption) => {
    this.#proveWith(encryption ?? undefined)
    this.#own?.leader.rekeyed()
  })
  #client: HeldLock | undefined
  #lock: HeldLock | undefined
  /** This tab's engine, while the tab leads. */
  #own: OwnEngine | undefined
  /** Resolves when the engine that was dropped last has ended. */
  #dropped = Promise.resolve()
  #followerState: { readonly follower: Follower; readonly queue: AbortController } | undefined
  #opened: { resolve(): void; reject(error: unknown): void } | undefined
  /** The id of the database that served this tab last. */
  #databaseId: string | undefined
  /** Whether an engine has ever served this tab; before that, a failure rejects the opening. */
  #wasServed = false
  #seeded = false
  #ended = false
  readonly #crashes = new CrashLimiter()
  readonly #deletions = new CrashLimiter()
  readonly #reopening = new Reopening()

  /** `secrets` are the page's; `post` sends messages to it; `startEngine` makes the engine of this tab when it leads. */
  constructor(secrets: DatabaseSecrets, post: (message: Message) => void, startEngine: StartEngine) {
    this.#secrets = secrets
    this.channel = new Channel<PageMethods, WorkerMethods>(post, this.#handlers())
    this.#startEngine = startEngine
    this.#forwarding.pendingCalls.onWait = () => this.#reopening.retry()
    this.released = new Promise((resolve) => {
      this.#markReleased = resolve
    })
  }

  /** Ends the engine and releases all locks. */
  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#reopening.cancel()
    this.#forwarding.pendingCalls.refuse(
      new TidelockError('closed', 'The database is closed', { hint: 'Open it again' }),
    )
    this.#stopFollowing()
    this.#dropEngine().then(() => {
      this.#lock?.release()
      this.#client?.release()
      this.#markReleased()
    })
  }

  // Methods that the page calls.

  #handlers(): Handlers<WorkerMethods> {
    return {
      ...this.#forwarding.handlers,
      open: (_, request) => this.#open(request),
      close: () => this.#close(),
      page: (_, event) => this.#onPageEvent(event),
      alive: () => {},
      attach: () => {},
      detach: () => {},
      move: () => {},
    }
  }

  #proveWith(encryption: Encryption | undefined): void {
    this.#prover = proverOf(this.#request.checked.name, encryption)
    // A failure is reported where the prover is used.
    this.#prover.catch(() => {})
  }

  // Opening and closing.

  async #open(request: OpenRequest): Promise<void> {
    const { checked } = request
    this.#request = request
    this.#proveWith(this.#secrets.current)
    for (const type of request.eventTypes) this.#forwarding.eventTypes.add(type)
    this.#forwarding.pendingCalls.timeoutMs = checked.lockTimeoutMs
    this.#info = await tabInfoOf(checked)
    const names = namesOf(checked.name)
    this.#client = await acquireLock(names.client + this.#id, {})
    if (this.#ended) return this.#client?.release()
    const served = new Promise<void>((resolve, reject) => {
      this.#opened = { resolve, reject }
    })
    const lock = await acquireLock(names.leader, { ifAvailable: true })
    if (this.#ended) return lock?.release()
    if (lock === undefined) this.#follow()
    else this.#lead(lock, {})
    return served
  }

  async #close(): Promise<void> {
    try {
      await this.#finishCalls()
    } finally {
      this.end()
    }
  }

  /** Finishes the calls made so far with the engine that serves this tab, or with the next one; closes this tab's own. */
  async #finishCalls(): Promise<void> {
    const { pendingCalls } = this.#forwarding
    for (;;) {
      const own = this.#own
      if (own !== undefined && own.serving === pendingCalls.serving) {
        try {
          return await own.close()
        } catch (error) {
          // It has crashed: the next engine answers its calls.
          if (!(error instanceof EngineLost)) throw error
        }
      } else {
        // An engine that hands over stores everything first.
        if (own?.serving.isLeaving) await own.close().catch(() => {})
        if (pendingCalls.areSettled) return
        await pendingCalls.settledOrServed()
      }
    }
  }

  /** Ends the tab after an error, which rejects the opening or closes the database. */
  #fail(error: unknown): void {
    if (this.#ended) return
    const opened = this.#opened
    this.#opened = undefined
    if (!this.#wasServed && opened !== undefined) opened.reject(error)
    else this.channel.notify('dead', [serializeError(error)])
    this.end()
  }

  // Following.

  /** Attaches to the leader; `again` to the one that served this tab before, which is of this version. */
  #follow(again = false): void {
    const { name, lockTimeoutMs } = this.#request.checked
    const names = namesOf(name)
    const queue = new AbortController()
    const follower = new Follower(
      name,
      this.#id,
      () => this.#info,
      () => this.#prover,
      lockTimeoutMs,
      this.#forwarding.ids,
      (serving) => ({ event: (_, event) => this.#event(serving(), event) }),
      {
        welcomed: (serving) => this.#welcomed(serving),
        leaving: () => this.#forwarding.pendingCalls.pause(),
        refused: (error) => {
          // Of another version: the refused one was forged, or is of a page that forged this tab's name.
          if (!again || !isTidelockError(error, 'database_in_use')) this.#refuse(error)
        },
        unreachable: () => {
          if (this.#wasServed) this.#forwarding.pendingCalls.failUnreachable()
          else this.#fail(unreachable())
        },
        impersonated: () => this.#followAgain(),
        frozen: () => {
          this.#stopFollowing()
          void this.#leadWith(acquireLock(names.leader, { steal: true }), 'steal')
        },
      },
    )
    this.#followerState = { follower, queue }
    void this.#leadWith(acquireLock(names.leader, { signal: queue.signal }), 'wait')
  }

  /** Ends this tab's session with the leader, which rolls back its transactions, and attaches again. */
  #followAgain(): void {
    this.#forwarding.pendingCalls.pause()
    this.#stopFollowing()
    this.#follow(true)
  }

  #onPageEvent(event: LifecycleEvent): void {
    this.#own?.onPageEvent(event)
    // A page in the back/forward cache runs no code but lives: its transaction would keep the other tabs waiting.
    if (event === 'pagehide' && this.#followerState !== undefined && this.#forwarding.holdsPermit) this.#followAgain()
  }

  #welcomed(serving: ServingEngine): void {
    if (this.#wasServed || typeof this.#request.functions !== 'object') this.#serve(serving, 'follower')
    else {
      this.#fail(
        new TidelockError('unsupported_environment', 'SQL functions of a follower tab must come from a module', {
          hint: 'Pass functions: { module: URL }: any tab may become the leader',
          details: { option: 'functions' },
        }),
      )
    }
  }

  /** Leads as soon as the leader lock is acquired. */
  async #leadWith(holding: Promise<HeldLock | undefined>, onBusy: 'wait' | 'steal'): Promise<void> {
    let lock: HeldLock | undefined
    try {
      lock = await holding
    } catch {
      return // the request was cancelled
    }
    if (lock === undefined) return
    if (this.#ended) return lock.release()
    this.#stopFollowing()
    if (this.#wasServed || onBusy === 'steal') return this.#lead(lock, { onBusy })
    const isPatient = this.#request.checked.onBusy !== 'fail'
    this.#lead(lock, isPatient ? {} : { onBusy: 'wait', lockTimeoutMs: leavingMs })
  }

  #stopFollowing(): void {
    const followerState = this.#followerState
    this.#followerState = undefined
    followerState?.queue.abort()
    followerState?.follower.end()
  }

  /** Handles the leader's refusal, because of another version of the app or another secret. */
  #refuse(error: unknown): void {
    const isLocked = isTidelockError(error, 'closed') || isTidelockError(error, 'decryption_failed')
    if (this.#wasServed && isLocked) this.#fail(rekeyed())
    else if (this.#wasServed) {
      this.#stopFollowing()
      this.#forwarding.pendingCalls.refuse(error)
      this.channel.notify('refused', [serializeError(error)])
      // The tab stays open until it is reloaded: others must not count it as a client until then.
      this.#client?.release()
    } else this.#fail(error)
  }

  // Leading.

  /** Leads; for an engine that can't be opened see {@link #notOpened}. */
  #lead(lock: HeldLock, meeting: Meeting): void {
    this.#tryToLead(lock, meeting)
      .catch((error) => this.#notOpened(lock, error, meeting))
      .catch((error) => this.#fail(error))
  }

  /** Opens the engine and serves all tabs. When another tab steals the lock, ends the engine and follows that tab. */
  async #tryToLead(lock: HeldLock, meeting: Meeting): Promise<void> {
    this.#lock = lock
    this.#forwarding.pendingCalls.pause()
    const { name } = this.#request.checked
    const events = {
      failed: (error: unknown) => fail(error),
      crashed: (cause: unknown) => (this.#own === own ? this.#crashed(lock, cause) : fail(cause)),
    }
    let fail: (error: unknown) => void = () => {}
    const failed = new Promise<never>((_, reject) => {
      fail = reject
    })
    const handlers = this.#engineHandlers(() => own.serving)
    const engine = this.#startEngine(handlers, events)
    const leader = new Leader(
      name,
      this.#id,
      () => this.#info,
      () => this.#prover,
      engine,
      () => void this.#handOver(),
    )
    const own = new OwnEngine(engine, leader, this.#forwarding.ids)
    this.#own = own
    const lost = lock.lost.then(() => {
      throw new EngineLost()
    })
    lost.catch(() => {
      if (this.#own === own) void this.#demote()
    })
    try {
      const request = await this.#openingFor(meeting)
      const opened = Promise.race([this.#openWithSecret(own, request), failed, lost])
      // Other tabs see this lock also while the opening blocks the thread; a former leader may still hold it.
      const settled = opened.catch(() => {})
      navigator.locks.request(namesOf(name).opening, { mode: 'shared' }, () => settled).catch(() => {})
      await opened
    } catch (error) {
      if (this.#own === own && !this.#ended && !(error instanceof EngineLost))
        await this.#notOpened(lock, error, meeting)
      return
    }
    if (this.#own !== own || this.#ended) return
    this.#seeded = true
    this.#reopening.succeeded()
    leader.serve()
    this.#serve(own.serving, 'leader')
  }

  async #openingFor(meeting: Meeting): Promise<OpenRequest> {
    const { checked, has, ...opening } = this.#request
    const alive = await namesHeldUnder(namesOf(checked.name).client)
    return {
      ...opening,
      checked: { ...checked, ...meeting },
      has: { ...has, seed: has.seed && !this.#seeded && !this.#wasServed },
      eventTypes: [...this.#forwarding.eventTypes],
      tabs: { own: this.#id, alive },
    }
  }

  async #openWithSecret(own: OwnEngine, request: OpenRequest): Promise<void> {
    const { current } = this.#secrets
    await this.#secrets.open((encryption) => own.open({ ...request, encryption }))
    if (this.#secrets.current !== current) this.#proveWith(this.#secrets.current)
  }

  /** Handles a failed opening. A tab that was served before retries while another tab has the database, or a frozen one its files. */
  async #notOpened(lock: HeldLock, error: unknown, meeting: Meeting): Promise<void> {
    await this.#dropEngine()
    // It isn't the leader before this tab that has the database.
    if (meeting.lockTimeoutMs !== undefined && isTidelockError(error, 'lock_timeout') && !this.#ended)
      return this.#lead(lock, {})
    const busy = busyCodes.some((code) => isTidelockError(error, code))
    // A deletion by force takes the storage away from an opening, before its lock.
    const mayBeDeleted = isTidelockError(error, 'storage_unavailable') && !this.#deletions.record()
    if (this.#wasServed && (busy || mayBeDeleted) && !this.#ended) return this.#lead(lock, { onBusy: 'wait' })
    if (this.#wasServed && isTidelockError(error) && isTransient(error)) return this.#leadLater(lock, error)
    this.#fail(error)
  }

  /** Rejects the calls that wait, and retries later, unless another tab steals the lock before. */
  #leadLater(lock: HeldLock, error: TidelockError): void {
    if (this.#ended) return
    this.#reopening.failed(() => this.#lead(lock, { onBusy: 'wait' }))
    this.#forwarding.pendingCalls.reject(errorWith(error, { details: { applied: false } }))
    void lock.lost.then(() => {
      if (this.#lock !== lock || !this.#reopening.isDue) return
      this.#reopening.cancel()
      void this.#stepDown()
    })
  }

  /** Ends this tab's engine at once, if there is one. Resolves when it has ended, or the one that was dropped before. */
  #dropEngine(): Promise<void> {
    const own = this.#own
    this.#own = undefined
    if (own !== undefined) this.#dropped = own.end()
    return this.#dropped
  }

  /** Becomes a follower, after another tab has stolen the lock of this frozen one. The engine settles its own calls first. */
  async #demote(): Promise<void> {
    const own = this.#own
    if (own === undefined || own.serving.isLeaving || this.#ended) return
    this.#forwarding.pendingCalls.pause()
    await Promise.race([own.close().catch(() => {}), new Promise((resolve) => setTimeout(resolve, 1000))])
    await this.#stepDown()
  }

  /** Hands over to another tab, whose app is newer or which changes the secret: closes the engine, then follows. */
  async #handOver(): Promise<void> {
    const own = this.#own
    if (own === undefined || own.serving.isLeaving || this.#ended) return
    this.#forwarding.pendingCalls.pause()
    await own.close().catch(() => {})
    if (this.#own !== own) return
    await this.#stepDown()
  }

  /** Ends the engine, and follows: in the queue for the leader lock, behind the other tabs. */
  async #stepDown(): Promise<void> {
    const lock = this.#lock
    await this.#dropEngine()
    this.#lock = undefined
    // Also when only the engine's lock was stolen, by a call that leads no tabs.
    lock?.release()
    if (!this.#ended) this.#follow()
  }

  /** Handles a crash of the engine's worker: another worker opens the database. */
  async #crashed(lock: HeldLock, cause: unknown): Promise<void> {
    const isOneTooMany = this.#crashes.record()
    if (isOneTooMany) return this.#fail(tooManyCrashes(cause))
    if (!this.#wasServed) {
      const details = { applied: null }
      return this.#fail(new TidelockError('worker_crashed', 'The worker of this database crashed', { details, cause }))
    }
    this.#forwarding.pendingCalls.pause()
    await this.#dropEngine()
    if (this.#ended) return
    const message = 'The worker of this database crashed; another one replaces it'
    this.channel.notify('event', [{ type: 'warning', detail: { code: 'worker_crashed', message } }])
    this.#lead(lock, { onBusy: 'wait' })
  }

  /** Returns the handlers for this tab's own engine; most forward to the page. */
  #engineHandlers(serving: () => ServingEngine): EngineHandlers {
    const page = this.channel
    return {
      event: (_, event) => this.#event(serving(), event),
      dead: (_, error) => this.#fail(deserializeError(error)),
      migrate: (_, version, direction, engineId) => {
        const localId = this.#forwarding.addPermit(serving(), engineId)
        return page.ask('migrate', [version, direction, localId]).finally(() => this.#forwarding.removePermit(localId))
      },
      ...page.forwarders([...forwardedCallbacks, 'fetch', 'seed', 'part']),
    }
  }

  #event(serving: ServingEngine, event: CoreEvent): void {
    const { type, detail } = event
    if (type === 'live') {
      const ids = detail.ids.flatMap((engineId) => serving.watched.get(engineId) ?? [])
      if (ids.length > 0) this.channel.notify('event', [{ type, detail: { ids } }])
      return
    }
    const isOwn = this.#own?.serving === serving
    // A stolen lock doesn't close the database: this tab follows the new leader.
    if (type === 'lock' && detail.state === 'lost') {
      if (isOwn) void this.#demote()
      return
    }
    // An engine that this tab closes, or that belongs to another tab, doesn't close the database.
    if (type === 'close' && (serving.isLeaving || !serving.isOwn)) return
    this.channel.notify('event', [event])
  }

  /** Sets the engine that serves this tab. */
  #serve(serving: ServingEngine, role: 'leader' | 'follower'): void {
    const renewed = this.#wasServed
    this.#wasServed = true
    this.#forwarding.serve(serving, () => {
      this.channel.notify('role', [role])
      if (renewed) this.channel.notify('renewed', [])
      this.#opened?.resolve()
      this.#opened = undefined
    })
    void this.#noticeLoss(serving)
  }

  /** Warns when this engine has another database than the one that served this tab before, which was deleted. */
  async #noticeLoss({ channel }: ServingEngine): Promise<void> {
    const before = this.#databaseId
    try {
      this.#databaseId = (await channel.ask('core', ['databaseId'])) as string
    } catch {
      return // the next engine is asked
    }
    if (before === undefined || this.#databaseId === before) return
    const message =
      'The stored data of this database was deleted while it was open in tabs: they continue with a new database'
    this.channel.notify('event', [{ type: 'warning', detail: { code: 'storage_lost', message } }])
  }
}
