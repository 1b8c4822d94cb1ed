import type { Message } from '../worker/channel.js'
import { toThrown } from '../worker/thrown.js'
import type { Engine } from './engine.js'
import { type Facts, judge } from './facts.js'
import { type Call, type FromLeader, type FromTab, namesOf, newTerm } from './wire.js'

interface Follower {
  readonly channel: BroadcastChannel
  readonly end: () => void
}

/** Serves the other tabs of a database by this tab's engine, from before that is open. */
export class Leading {
  readonly term = newTerm()
  readonly #name: string
  readonly #facts: () => Facts
  readonly #engine: Engine
  readonly #onHandOver: () => void
  readonly #all: BroadcastChannel
  readonly #followers = new Map<string, Follower>()
  #open = false
  #leaving = false

  /** `onHandOver`: a newer version of the app wants to lead. */
  constructor(name: string, facts: () => Facts, engine: Engine, onHandOver: () => void) {
    this.#name = name
    this.#facts = facts
    this.#engine = engine
    this.#onHandOver = onHandOver
    this.#all = new BroadcastChannel(namesOf(name).all)
    this.#all.onmessage = ({ data }: MessageEvent<Call>) => {
      if ('hello' in data) this.#asked(data.hello, data.facts)
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

  /** Serves nobody any more: what tabs had begun is rolled back. */
  end(): void {
    this.#all.onmessage = null
    this.#all.close()
    for (const { end } of [...this.#followers.values()]) end()
  }

  #call(): void {
    this.#all.postMessage({ term: this.term } satisfies Call)
  }

  #say(channel: BroadcastChannel, say: 'welcome' | 'pong' | 'soon' | 'leaving'): void {
    channel.postMessage({ term: this.term, say } satisfies FromLeader)
  }

  #asked(id: string, facts: Facts): void {
    const known = this.#followers.get(id)
    if (known !== undefined && !this.#leaving) {
      this.#say(known.channel, 'welcome')
      return
    }
    const channel = known?.channel ?? new BroadcastChannel(namesOf(this.#name).client + id)
    const verdict = this.#open && !this.#leaving ? judge(this.#facts(), facts) : 'soon'
    if (verdict === 'welcome') {
      this.#welcome(id, channel)
      return
    }
    if (verdict === 'soon' || verdict === 'handOver') this.#say(channel, 'soon')
    else channel.postMessage({ term: this.term, refused: toThrown(verdict) } satisfies FromLeader)
    if (known === undefined) channel.close()
    if (verdict === 'handOver') this.#onHandOver()
  }

  #welcome(id: string, channel: BroadcastChannel): void {
    const desk = this.#engine.attach(id, (message: Message) => {
      channel.postMessage({ term: this.term, message } satisfies FromLeader)
    })
    const waiting = new AbortController()
    const end = () => {
      if (!this.#followers.delete(id)) return
      waiting.abort()
      desk.end()
      channel.close()
    }
    this.#followers.set(id, { channel, end })
    channel.onmessage = ({ data }: MessageEvent<FromTab>) => {
      if (data.term !== this.term) return
      if ('message' in data) desk.post(data.message)
      else if (data.say === 'ping') this.#say(channel, 'pong')
      else end()
    }
    // It has this lock for as long as it lives, so whoever gets it knows of its death.
    const lock = namesOf(this.#name).client + id
    navigator.locks.request(lock, { signal: waiting.signal }, end).catch(() => {})
    this.#say(channel, 'welcome')
  }
}
