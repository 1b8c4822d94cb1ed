import type { Message } from '../rpc/channel.js'
import { serializeError } from '../rpc/serialized-error.js'
import { checkCompatibility, rekeyed, type TabInfo, wrongSecret } from './compatibility.js'
import type { AttachedClient, Engine } from './engine.js'
import {
  helloOfOtherVersion,
  namesOf,
  newTerm,
  parseBroadcast,
  parseTabMessage,
  post,
  rejectionFor,
  versionMismatch,
} from './messages.js'
import { contextOf, type Prover } from './prover.js'

/** A tab that follows, or is about to. */
interface AttachedFollower {
  readonly channel: BroadcastChannel
  /** The follower's nonce; a different one means that the tab has started again. */
  readonly nonce: string
  /** Sends the current step of the handshake, each time that the tab says hello. */
  greet(): void
  endSession(): void
  end(): void
}

/** Serves the other tabs of a database with this tab's engine; announces itself before the engine is open. */
export class Leader {
  readonly term = newTerm()
  readonly #name: string
  readonly #ownId: string
  readonly #info: () => TabInfo
  readonly #prover: () => Promise<Prover>
  readonly #engine: Engine
  readonly #onHandOver: () => void
  readonly #all: BroadcastChannel
  readonly #followers = new Map<string, AttachedFollower>()
  #open = false
  #leaving = false

  /** `ownId` is this tab's id; `onHandOver` is called when another tab must lead. */
  constructor(
    name: string,
    ownId: string,
    info: () => TabInfo,
    prover: () => Promise<Prover>,
    engine: Engine,
    onHandOver: () => void,
  ) {
    this.#name = name
    this.#ownId = ownId
    this.#info = info
    this.#prover = prover
    this.#engine = engine
    this.#onHandOver = onHandOver
    this.#all = new BroadcastChannel(namesOf(name).all)
    this.#all.onmessage = ({ data }: MessageEvent<unknown>) => {
      const received = parseBroadcast(data)
      if (received === undefined) this.#refuseOtherVersion(data)
      else if ('hello' in received) this.#onHello(received.hello, received.nonce, received.info)
    }
    this.#announce()
  }

  /** Starts serving, when the engine is open. */
  serve(): void {
    this.#open = true
    this.#announce()
  }

  /** Stops the calls of all followers, because the engine is about to close. */
  leave(): void {
    this.#leaving = true
    for (const { channel } of this.#followers.values()) this.#send(channel, 'leaving')
  }

  /** Refuses all followers, because they don't know the new secret of the database. */
  rekeyed(): void {
    for (const { channel, end } of [...this.#followers.values()]) {
      this.#refuse(channel, rekeyed())
      end()
    }
  }

  /** Rolls back the transactions of all followers, but answers their pings: a follower of a silent leader would steal its lock. */
  endSessions(): void {
    for (const { endSession } of this.#followers.values()) endSession()
  }

  /** Stops serving: the transactions of all followers are rolled back. */
  end(): void {
    this.#all.onmessage = null
    this.#all.close()
    for (const { end } of [...this.#followers.values()]) end()
  }

  #announce(): void {
    post(this.#all, { term: this.term })
  }

  #send(channel: BroadcastChannel, say: 'welcome' | 'pong' | 'soon' | 'leaving'): void {
    post(channel, { term: this.term, say })
  }

  #refuse(channel: BroadcastChannel, error: unknown): void {
    post(channel, { term: this.term, refused: serializeError(error) })
  }

  /** Refuses a tab with another version of the protocol. */
  #refuseOtherVersion(data: unknown): void {
    const id = helloOfOtherVersion(data)
    // A follower has this version: the message is not its own.
    if (id === undefined || this.#followers.has(id)) return
    const channel = this.#channelTo(id)
    this.#refuse(channel, versionMismatch(data))
    channel.close()
  }

  #channelTo(id: string): BroadcastChannel {
    return new BroadcastChannel(namesOf(this.#name).client + id)
  }

  #onHello(id: string, nonce: string, info: TabInfo): void {
    // Forged: this tab doesn't follow itself, and holds the lock that would end such a session.
    if (id === this.#ownId) return
    const known = this.#followers.get(id)
    if (this.#leaving || !this.#open) {
      const channel = known?.channel ?? this.#channelTo(id)
      this.#send(channel, 'soon')
      if (known === undefined) channel.close()
      return
    }
    if (known?.nonce !== nonce) {
      known?.end()
      this.#handshake(id, nonce, info)
    }
    this.#followers.get(id)?.greet()
  }

  /** Exchanges proofs of the secret with a tab, and serves the tab if it is compatible. */
  #handshake(id: string, nonce: string, info: TabInfo): void {
    const { term } = this
    const [channel, prover, challenge] = [this.#channelTo(id), this.#prover(), crypto.randomUUID()]
    const handshake = [this.#name, id, term, nonce, challenge]
    const waiting = new AbortController()
    let client: AttachedClient | undefined
    let isProving = false
    const attached: AttachedFollower = {
      channel,
      nonce,
      greet: async () => {
        if (client !== undefined) return this.#send(channel, 'welcome')
        const proof = await (await prover).prove(contextOf('leader', handshake))
        if (this.#followers.get(id) === attached) post(channel, { term, challenge, nonce, proof })
      },
      endSession: () => client?.end(),
      end: () => {
        if (this.#followers.get(id) !== attached) return
        this.#followers.delete(id)
        waiting.abort()
        client?.end()
        channel.close()
      },
    }
    const onProof = async (proof: Uint8Array<ArrayBuffer>) => {
      if (client !== undefined || isProving) return
      isProving = true
      const isValid = await (await prover).verify(contextOf('follower', handshake), proof)
      isProving = false
      if (this.#followers.get(id) !== attached || this.#leaving) return
      const verdict = isValid ? checkCompatibility(this.#info(), info) : wrongSecret()
      if (verdict === 'welcome') {
        // First, because a tab ignores messages of an engine before it is welcomed.
        this.#send(channel, 'welcome')
        client = this.#engine.attach(id, (message: Message) => post(channel, { term, message }))
        return
      }
      if (verdict === 'handOver') this.#send(channel, 'soon')
      else this.#refuse(channel, verdict)
      attached.end()
      if (verdict === 'handOver') this.#onHandOver()
    }
    channel.onmessage = ({ data }: MessageEvent<unknown>) => {
      const received = parseTabMessage(data)
      const answer = received === undefined && client !== undefined ? rejectionFor(data) : undefined
      if (answer !== undefined) post(channel, { term, message: answer })
      if (received?.term !== term) return
      if ('proof' in received) void onProof(received.proof)
      else if ('message' in received) client?.post(received.message)
      else if (received.say === 'bye') attached.end()
      else if (client !== undefined && received.say === 'ping') this.#send(channel, 'pong')
      else if (client !== undefined) this.#onHandOver()
    }
    this.#followers.set(id, attached)
    // The tab holds this lock as long as it lives, so acquiring it means that the tab has closed or crashed.
    const lock = namesOf(this.#name).client + id
    navigator.locks.request(lock, { signal: waiting.signal }, attached.end).catch(() => {})
  }
}
