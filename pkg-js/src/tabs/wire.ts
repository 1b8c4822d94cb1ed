import { invalid, TidelockError } from '../base/errors.js'
import type { Message } from '../rpc/channel.js'
import { type Thrown, toThrown } from '../rpc/thrown.js'
import type { Facts } from './compatibility.js'
import * as shapes from './shapes.js'

// What tabs say to each other. A term is the time of one engine: what belongs to another one is not listened to.

/** The version of all that follows. Of another version only greetings and refusals are understood: they keep their form. */
const version = 2

/** To all tabs of the database. */
export type Call =
  /** A tab wants to follow; `nonce` is new each time that it begins. */
  | { readonly hello: string; readonly nonce: string; readonly facts: Facts }
  /** A tab leads, or is about to. */
  | { readonly term: string }

/** From the leader to one tab. */
export type FromLeader =
  | { readonly term: string; readonly say: 'welcome' | 'pong' | 'soon' | 'leaving' }
  /** It proves that it has the secret, and wants the tab to do so. */
  | {
      readonly term: string
      readonly challenge: string
      readonly nonce: string
      readonly proof: Uint8Array<ArrayBuffer>
    }
  | { readonly term: string; readonly refused: Thrown }
  | { readonly term: string; readonly message: Message }

/** From one tab to the leader. */
export type FromTab =
  /** `handOver`: it needs to lead. */
  | { readonly term: string; readonly say: 'ping' | 'bye' | 'handOver' }
  | { readonly term: string; readonly proof: Uint8Array<ArrayBuffer> }
  | { readonly term: string; readonly message: Message }

/** Says something to other tabs. */
export function post(channel: BroadcastChannel, message: Call | FromLeader | FromTab): void {
  channel.postMessage({ v: version, ...message })
}

/** What was said to all tabs; undefined when it isn't understood, as for the next two. */
export function callIn(data: unknown): Call | undefined {
  return versionOf(data) === version && shapes.call(data) ? (data as Call) : undefined
}

/** What a leader said. */
export function fromLeaderIn(data: unknown): FromLeader | undefined {
  return versionOf(data) === version && shapes.fromLeader(data) ? (data as FromLeader) : undefined
}

/** What a tab said to its leader. */
export function fromTabIn(data: unknown): FromTab | undefined {
  return versionOf(data) === version && shapes.fromTab(data) ? (data as FromTab) : undefined
}

function versionOf(data: unknown): unknown {
  return (data as { readonly v?: unknown } | null | undefined)?.v
}

/** The id of a tab of another version that wants to follow. */
export function helloOfOtherVersion(data: unknown): string | undefined {
  const { hello } = (data ?? {}) as { readonly hello?: unknown }
  return typeof hello === 'string' && versionOf(data) !== version ? hello : undefined
}

/** Why a tab and a leader of another version can't work together; undefined when it is of this one, or no leader speaks. */
export function otherVersion(data: unknown): TidelockError | undefined {
  const { term, hello } = (data ?? {}) as { readonly term?: unknown; readonly hello?: unknown }
  const isOther = versionOf(data) !== version && (typeof term === 'string' || typeof hello === 'string')
  return isOther
    ? new TidelockError('database_in_use', 'Another tab has the database with another version of tidelock', {
        hint: 'Reload all tabs of this app, so that they run the same version',
      })
    : undefined
}

/** The answer to a request that isn't understood, where somebody waits for one. */
export function refusal(data: unknown): Message | undefined {
  const { id } = ((data as { readonly message?: unknown } | null)?.message ?? {}) as { readonly id?: unknown }
  if (typeof id !== 'number' || !(id > 0)) return undefined
  const error = invalid('The tab that leads does not understand this call', {
    hint: 'Reload all tabs of this app, so that they run the same version',
  })
  return { answer: id, thrown: toThrown(error) }
}

/** A term that begins now. */
export function newTerm(): string {
  return `${Date.now()}/${crypto.randomUUID()}`
}

/** Whether a term began before another one: a tab that was frozen may still believe in it. */
export function isBefore(one: string, other: string): boolean {
  return Number.parseInt(one, 10) < Number.parseInt(other, 10)
}

/** The names of a database's locks and channels. */
export function namesOf(name: string) {
  return {
    /** Who has it leads, or is about to. */
    leader: `tidelock/${name}/leader`,
    /** Before a tab's id: the lock that it has as long as it lives, and its channel. */
    client: `tidelock/${name}/client/`,
    all: `tidelock/${name}/tabs`,
  }
}
