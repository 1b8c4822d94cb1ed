import { Channel, type Handlers, type Message } from '../rpc/channel.js'
import type { PageMethods, WorkerMethods } from '../rpc/protocol.js'
import { deserializeError } from '../rpc/serialized-error.js'
import { type TabInfo, wrongSecret } from './compatibility.js'
import { Liveness } from './liveness.js'
import { isEngineOpening } from './locks.js'
import {
  isBefore,
  type LeaderMessage,
  namesOf,
  parseBroadcast,
  parseLeaderMessage,
  parseTabMessage,
  post,
  type TabMessage,
  versionMismatch,
} from './messages.js'
import { contextOf, type Prover } from './prover.js'
import { type IdSequence, ServingEngine } from './serving-engine.js'

const helloEveryMs = 250
const pingEveryMs = 1000

/** Callbacks of a {@link Follower}. */
export interface FollowerEvents {
  /** A leader serves this tab. */
  welcomed(serving: ServingEngine): void
  /** The leader is about to close its engine. */
  leaving(): void
  /** The leader refuses this tab. */
  refused(error: unknown): void
  /** Another page sends messages with this tab's id: what the leader does for this tab's session may not be what this tab has asked for. */
  impersonated(): void
  /** The leader doesn't answer, and this tab is visible. */
  frozen(): void
  /** The leader hasn't answered for `timeoutMs`. */
  unreachable(): void
}

/** The handlers of what a leader sends unasked. */
export type FollowerHandlers = Pick<Handlers<PageMethods>, 'event'>

/** Finds the leader of a database, attaches this tab to it, and watches whether the leader is alive. */
export class Follower {
  readonly #name: string
  readonly #id: string
  /** A nonce of this follower, against replayed proofs. */
  readonly #nonce = crypto.randomUUID()
  readonly #info: () => TabInfo
  readonly #prover: () => Promise<Prover>
  readonly #ids: IdSequence
  readonly #handlers: (serving: () => ServingEngine) => FollowerHandlers
  readonly #events: FollowerEvents
  readonly #all: BroadcastChannel
  readonly #own: BroadcastChannel
  readonly #liveness: Liveness
  /** The term whose leader has proved that it knows the secret. */
  #provenTerm: string | undefined
  #term: string | undefined
  #serving: ServingEngine | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #ended = false

  constructor(
    name: string,
    id: string,
    info: () => TabInfo,
    prover: () => Promise<Prover>,
    timeoutMs: number,
    ids: IdSequence,
    handlers: (serving: () => ServingEngine) => FollowerHandlers,
    events: FollowerEvents,
  ) {
    this.#name = name
    this.#id = id
    this.#info = info
    this.#prover = prover
    this.#ids = ids
    this.#handlers = handlers
    this.#events = events
    this.#liveness = new Liveness(timeoutMs, performance.now())
    const names = namesOf(name)
    this.#all = new BroadcastChannel(names.all)
    this.#own = new BroadcastChannel(names.client + id)
    this.#all.onmessage = ({ data }: MessageEvent<unknown>) => {
      const received = parseBroadcast(data)
      if (received === undefined) return
      if ('hello' in received) {
        if (received.hello === this.#id) this.#impersonated()
        return
      }
      this.#liveness.received(performance.now(), false)
      if (received.term !== this.#term) this.#hello()
    }
    this.#own.onmessage = ({ data }: MessageEvent<unknown>) => {
      const received = parseLeaderMessage(data)
      if (received !== undefined) this.#receive(received)
      // A channel doesn't deliver what was sent by itself.
      else if (this.#term !== undefined && parseTabMessage(data)?.term === this.#term) this.#impersonated()
      // A leader of another version refuses this tab. Once a leader serves this tab, it is of this version, and such messages are ignored.
      else if (this.#term === undefined && versionMismatch(data) !== undefined)
        this.#events.refused(versionMismatch(data))
    }
    this.#hello()
    this.#tick()
  }

  end(): void {
    if (this.#ended) return
    this.#ended = true
    clearTimeout(this.#timer)
    if (this.#term !== undefined) this.#post({ term: this.#term, say: 'bye' })
    this.#serving?.end()
    this.#all.close()
    this.#own.close()
  }

  #hello(): void {
    post(this.#all, { hello: this.#id, nonce: this.#nonce, info: this.#info() })
  }

  /** Reports a message in this tab's name, once a leader serves this tab: until then, none has a session for it to misuse. */
  #impersonated(): void {
    if (this.#term !== undefined && !this.#ended) this.#events.impersonated()
  }

  #post(message: TabMessage): void {
    if (!this.#ended || 'say' in message) post(this.#own, message)
  }

  #receive(data: LeaderMessage): void {
    const another = data.term !== this.#term
    // A former leader that was frozen may not know yet that it is replaced.
    if (this.#term !== undefined && isBefore(data.term, this.#term)) return
    if (another && ('message' in data || ('say' in data && data.say === 'pong'))) return
    const serves = 'message' in data || ('say' in data && (data.say === 'pong' || data.say === 'welcome'))
    this.#liveness.received(performance.now(), serves)
    if ('message' in data) this.#serving?.channel.receive(data.message)
    else if ('refused' in data) this.#events.refused(deserializeError(data.refused))
    else if ('challenge' in data) void this.#handshake(data)
    else if (data.say === 'welcome' && another && data.term === this.#provenTerm) this.#follow(data.term)
    else if (data.say === 'leaving' && !another) this.#events.leaving()
  }

  /** Checks the leader's proof that it knows the secret, and sends this tab's. */
  async #handshake({
    term,
    challenge,
    nonce,
    proof,
  }: Extract<LeaderMessage, { readonly challenge: string }>): Promise<void> {
    if (nonce !== this.#nonce) return
    const handshake = [this.#name, this.#id, term, nonce, challenge]
    const prover = await this.#prover()
    const isValid = await prover.verify(contextOf('leader', handshake), proof)
    const own = isValid ? await prover.prove(contextOf('follower', handshake)) : undefined
    if (this.#ended) return
    if (own === undefined) {
      this.#events.refused(wrongSecret())
      return
    }
    this.#provenTerm = term
    this.#post({ term, proof: own })
  }

  #follow(term: string): void {
    const before = this.#serving
    if (this.#term !== undefined) this.#post({ term: this.#term, say: 'bye' })
    this.#term = term
    const channel: Channel<WorkerMethods, PageMethods> = new Channel<WorkerMethods, PageMethods>(
      (message: Message) => this.#post({ term, message }),
      this.#handlers(() => serving) as Handlers<PageMethods>,
      () => this.#impersonated(),
    )
    const serving = new ServingEngine(channel, this.#ids, {
      recordsWrites: true,
      isOwn: false,
      handOver: () => this.#post({ term, say: 'handOver' }),
    })
    this.#serving = serving
    before?.end()
    this.#events.welcomed(serving)
  }

  #tick(): void {
    const welcomed = this.#term !== undefined
    this.#timer = setTimeout(() => this.#tick(), welcomed ? pingEveryMs : helloEveryMs)
    const now = performance.now()
    const { isNotServed } = this.#liveness
    if (isNotServed || this.#liveness.isFrozen(now, false) || this.#liveness.isUnreachable(now))
      void this.#checkLeader()
    this.#liveness.pinged()
    if (this.#term !== undefined) this.#post({ term: this.#term, say: 'ping' })
    // The announcement of another leader may have been missed.
    if (!welcomed || this.#liveness.isSuspect) this.#hello()
  }

  /** Reports a leader that is frozen or unreachable; one that opens its engine has more time. */
  async #checkLeader(): Promise<void> {
    const isOpening = await isEngineOpening(namesOf(this.#name))
    if (this.#ended) return
    if (isOpening) this.#liveness.opens()
    const now = performance.now()
    const visible = typeof document === 'undefined' || document.visibilityState === 'visible'
    if (visible && this.#liveness.isFrozen(now, isOpening)) this.#events.frozen()
    else if (this.#liveness.isUnreachable(now)) this.#events.unreachable()
  }
}
