import { Channel, type Handlers, type Message } from '../rpc/channel.js'
import type { PageMethods, WorkerMethods } from '../rpc/protocol.js'
import { fromThrown } from '../rpc/thrown.js'
import { differs, type Facts } from './compatibility.js'
import { Patience } from './liveness.js'
import { contextOf, type Prover } from './prover.js'
import { type Numbers, Serving } from './serving.js'
import { callIn, type FromLeader, type FromTab, fromLeaderIn, isBefore, namesOf, otherVersion, post } from './wire.js'

const helloEveryMs = 250
const pingEveryMs = 1000

/** What happens to a follower. */
export interface FollowerEvents {
  /** A leader serves this tab. */
  welcomed(serving: Serving): void
  /** It is about to stop. */
  leaving(): void
  /** The leader can't work with this tab. */
  refused(error: unknown): void
  /** It doesn't answer, although this tab is in front of the user. */
  frozen(): void
  /** It doesn't answer for as long as anybody is to wait. */
  unreachable(): void
}

/** What a leader tells a tab by itself. */
export type FollowerHandlers = Pick<Handlers<PageMethods>, 'event'>

/** Finds the leader of a database, has it serve this tab, and watches whether it lives. */
export class Following {
  readonly #name: string
  readonly #id: string
  /** So that what was proved to it at one time says nothing at another. */
  readonly #nonce = crypto.randomUUID()
  readonly #facts: () => Facts
  readonly #prover: () => Promise<Prover>
  readonly #numbers: Numbers
  readonly #handlers: (serving: () => Serving) => FollowerHandlers
  readonly #events: FollowerEvents
  readonly #all: BroadcastChannel
  readonly #own: BroadcastChannel
  readonly #patience: Patience
  /** The term whose leader has proved that it has the secret. */
  #proved: string | undefined
  #term: string | undefined
  #serving: Serving | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #ended = false

  constructor(
    name: string,
    id: string,
    facts: () => Facts,
    prover: () => Promise<Prover>,
    timeoutMs: number,
    numbers: Numbers,
    handlers: (serving: () => Serving) => FollowerHandlers,
    events: FollowerEvents,
  ) {
    this.#name = name
    this.#id = id
    this.#facts = facts
    this.#prover = prover
    this.#numbers = numbers
    this.#handlers = handlers
    this.#events = events
    this.#patience = new Patience(timeoutMs, performance.now())
    const names = namesOf(name)
    this.#all = new BroadcastChannel(names.all)
    this.#own = new BroadcastChannel(names.client + id)
    this.#all.onmessage = ({ data }: MessageEvent<unknown>) => {
      const said = callIn(data)
      if (said === undefined || !('term' in said)) return
      this.#patience.heard(performance.now(), false)
      if (said.term !== this.#term) this.#hello()
    }
    this.#own.onmessage = ({ data }: MessageEvent<unknown>) => {
      const said = fromLeaderIn(data)
      if (said !== undefined) this.#heard(said)
      // A leader of another version refuses whom it doesn't understand. Whoever is served is served by one of this version.
      else if (this.#term === undefined && otherVersion(data) !== undefined) this.#events.refused(otherVersion(data))
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
    post(this.#all, { hello: this.#id, nonce: this.#nonce, facts: this.#facts() })
  }

  #post(message: FromTab): void {
    if (!this.#ended || 'say' in message) post(this.#own, message)
  }

  #heard(data: FromLeader): void {
    const another = data.term !== this.#term
    // Somebody who led before, and doesn't know yet.
    if (this.#term !== undefined && isBefore(data.term, this.#term)) return
    if (another && ('message' in data || ('say' in data && data.say === 'pong'))) return
    const serves = 'message' in data || ('say' in data && (data.say === 'pong' || data.say === 'welcome'))
    this.#patience.heard(performance.now(), serves)
    if ('message' in data) this.#serving?.channel.receive(data.message)
    else if ('refused' in data) this.#events.refused(fromThrown(data.refused))
    else if ('challenge' in data) void this.#handshake(data)
    else if (data.say === 'welcome' && another && data.term === this.#proved) this.#follow(data.term)
    else if (data.say === 'leaving' && !another) this.#events.leaving()
  }

  /** A leader has proved that it has the secret; so does this tab. */
  async #handshake({
    term,
    challenge,
    nonce,
    proof,
  }: Extract<FromLeader, { readonly challenge: string }>): Promise<void> {
    if (nonce !== this.#nonce) return
    const handshake = [this.#name, this.#id, term, nonce, challenge]
    const prover = await this.#prover()
    const isRight = await prover.verify(contextOf('leader', handshake), proof)
    const own = isRight ? await prover.prove(contextOf('follower', handshake)) : undefined
    if (this.#ended) return
    if (own === undefined) {
      this.#events.refused(differs('encryption'))
      return
    }
    this.#proved = term
    this.#post({ term, proof: own })
  }

  #follow(term: string): void {
    const before = this.#serving
    this.#term = term
    const channel: Channel<WorkerMethods, PageMethods> = new Channel<WorkerMethods, PageMethods>(
      (message: Message) => this.#post({ term, message }),
      this.#handlers(() => serving) as Handlers<PageMethods>,
    )
    const serving = new Serving(channel, this.#numbers, {
      notes: true,
      own: false,
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
    if (this.#patience.isUnreachable(now)) this.#events.unreachable()
    if (this.#ended) return
    const visible = typeof document === 'undefined' || document.visibilityState === 'visible'
    if (visible && this.#patience.isFrozen(now)) {
      this.#events.frozen()
      return
    }
    this.#patience.asks()
    if (this.#term !== undefined) this.#post({ term: this.#term, say: 'ping' })
    // The leader may be another one by now, whose call was not heard.
    if (!welcomed || this.#patience.isDoubtful) this.#hello()
  }
}
