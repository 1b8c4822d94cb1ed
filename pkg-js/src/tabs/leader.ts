import type { Message } from '../rpc/channel.js'
import { toThrown } from '../rpc/thrown.js'
import { differs, type Facts, judge, rekeyed } from './compatibility.js'
import type { Desk, Engine } from './engine.js'
import { contextOf, type Prover } from './prover.js'
import { callIn, fromTabIn, helloOfOtherVersion, namesOf, newTerm, otherVersion, post, refusal } from './wire.js'

/** A tab that wants to follow, or does. */
interface Follower {
  readonly channel: BroadcastChannel
  /** The follower's nonce: another one means that the tab has begun anew. */
  readonly nonce: string
  /** Tells it where the two are: again, when it asks again. */
  greet(): void
  end(): void
}

/** Serves the other tabs of a database by this tab's engine, from before that is open. */
export class Leading {
  readonly term = newTerm()
  readonly #name: string
  readonly #facts: () => Facts
  readonly #prover: () => Promise<Prover>
  readonly #engine: Engine
  readonly #onHandOver: () => void
  readonly #all: BroadcastChannel
  readonly #followers = new Map<string, Follower>()
  #open = false
  #leaving = false

  /** `onHandOver`: another tab needs to lead. */
  constructor(name: string, facts: () => Facts, prover: () => Promise<Prover>, engine: Engine, onHandOver: () => void) {
    this.#name = name
    this.#facts = facts
    this.#prover = prover
    this.#engine = engine
    this.#onHandOver = onHandOver
    this.#all = new BroadcastChannel(namesOf(name).all)
    this.#all.onmessage = ({ data }: MessageEvent<unknown>) => {
      const said = callIn(data)
      if (said === undefined) this.#refuseOtherVersion(data)
      else if ('hello' in said) this.#asked(said.hello, said.nonce, said.facts)
    }
    this.#call()
  }

  /** The engine is open. */
  serve(): void {
    this.#open = true
    this.#call()
  }

  /** No call is to come any more: the engine is about to close. */
  leave(): void {
    this.#leaving = true
    for (const { channel } of this.#followers.values()) this.#say(channel, 'leaving')
  }

  /** Ends all tabs that follow: the database has a secret that they don't know. */
  rekeyed(): void {
    for (const { channel, end } of [...this.#followers.values()]) {
      this.#refuse(channel, rekeyed())
      end()
    }
  }

  /** Serves nobody any more: what tabs had begun is rolled back. */
  end(): void {
    this.#all.onmessage = null
    this.#all.close()
    for (const { end } of [...this.#followers.values()]) end()
  }

  #call(): void {
    post(this.#all, { term: this.term })
  }

  #say(channel: BroadcastChannel, say: 'welcome' | 'pong' | 'soon' | 'leaving'): void {
    post(channel, { term: this.term, say })
  }

  #refuse(channel: BroadcastChannel, error: unknown): void {
    post(channel, { term: this.term, refused: toThrown(error) })
  }

  /** Tells a tab that speaks another version that it can't follow. */
  #refuseOtherVersion(data: unknown): void {
    const id = helloOfOtherVersion(data)
    // A tab that is served speaks this version: it said nothing of the kind.
    if (id === undefined || this.#followers.has(id)) return
    const channel = this.#channelTo(id)
    this.#refuse(channel, otherVersion(data))
    channel.close()
  }

  #channelTo(id: string): BroadcastChannel {
    return new BroadcastChannel(namesOf(this.#name).client + id)
  }

  #asked(id: string, nonce: string, facts: Facts): void {
    const known = this.#followers.get(id)
    if (this.#leaving || !this.#open) {
      const channel = known?.channel ?? this.#channelTo(id)
      this.#say(channel, 'soon')
      if (known === undefined) channel.close()
      return
    }
    if (known?.nonce !== nonce) {
      known?.end()
      this.#handshake(id, nonce, facts)
    }
    this.#followers.get(id)?.greet()
  }

  /** Has a tab prove that it has the secret, as this one proves it to the tab, and serves it if it may follow. */
  #handshake(id: string, nonce: string, facts: Facts): void {
    const { term } = this
    const [channel, prover, challenge] = [this.#channelTo(id), this.#prover(), crypto.randomUUID()]
    const handshake = [this.#name, id, term, nonce, challenge]
    const waiting = new AbortController()
    let desk: Desk | undefined
    let isProving = false
    const follower: Follower = {
      channel,
      nonce,
      greet: async () => {
        if (desk !== undefined) return this.#say(channel, 'welcome')
        const proof = await (await prover).prove(contextOf('leader', handshake))
        if (this.#followers.get(id) === follower) post(channel, { term, challenge, nonce, proof })
      },
      end: () => {
        if (this.#followers.get(id) !== follower) return
        this.#followers.delete(id)
        waiting.abort()
        desk?.end()
        channel.close()
      },
    }
    const proved = async (proof: Uint8Array<ArrayBuffer>) => {
      if (desk !== undefined || isProving) return
      isProving = true
      const isRight = await (await prover).verify(contextOf('follower', handshake), proof)
      isProving = false
      if (this.#followers.get(id) !== follower || this.#leaving) return
      const verdict = isRight ? judge(this.#facts(), facts) : differs('encryption')
      if (verdict === 'welcome') {
        desk = this.#engine.attach(id, (message: Message) => post(channel, { term, message }))
        this.#say(channel, 'welcome')
        return
      }
      if (verdict === 'handOver') this.#say(channel, 'soon')
      else this.#refuse(channel, verdict)
      follower.end()
      if (verdict === 'handOver') this.#onHandOver()
    }
    channel.onmessage = ({ data }: MessageEvent<unknown>) => {
      const said = fromTabIn(data)
      const answer = said === undefined && desk !== undefined ? refusal(data) : undefined
      if (answer !== undefined) post(channel, { term, message: answer })
      if (said?.term !== term) return
      if ('proof' in said) void proved(said.proof)
      else if ('message' in said) desk?.post(said.message)
      else if (said.say === 'bye') follower.end()
      else if (desk !== undefined && said.say === 'ping') this.#say(channel, 'pong')
      else if (desk !== undefined) this.#onHandOver()
    }
    this.#followers.set(id, follower)
    // It has this lock for as long as it lives, so whoever gets it knows of its death.
    const lock = namesOf(this.#name).client + id
    navigator.locks.request(lock, { signal: waiting.signal }, follower.end).catch(() => {})
  }
}
