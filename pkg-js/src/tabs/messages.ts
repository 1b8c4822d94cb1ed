import { invalid, TidelockError } from '../base/errors.js'
import type { Message } from '../rpc/channel.js'
import { type SerializedError, serializeError } from '../rpc/serialized-error.js'
import type { TabInfo } from './compatibility.js'
import * as messages from './message-validators.js'

// The messages between tabs. A term identifies one leader's engine: messages of other terms are ignored.

/** The version of this protocol. Messages of other versions are ignored, except `hello` and `refused`, whose form never changes. */
const version = 2

/** A message to all tabs of the database. */
export type BroadcastMessage =
  /** A tab wants to follow; each {@link import('./follower.js').Follower} has a nonce of its own. */
  | { readonly hello: string; readonly nonce: string; readonly info: TabInfo }
  /** A tab leads, or is about to. */
  | { readonly term: string }

/** A message from the leader to one tab. */
export type LeaderMessage =
  | { readonly term: string; readonly say: 'welcome' | 'pong' | 'soon' | 'leaving' }
  /** The leader proves that it knows the secret, and asks for the tab's proof. */
  | {
      readonly term: string
      readonly challenge: string
      readonly nonce: string
      readonly proof: Uint8Array<ArrayBuffer>
    }
  | { readonly term: string; readonly refused: SerializedError }
  | { readonly term: string; readonly message: Message }

/** A message from one tab to the leader. */
export type TabMessage =
  /** `handOver`: the tab must lead. */
  | { readonly term: string; readonly say: 'ping' | 'bye' | 'handOver' }
  | { readonly term: string; readonly proof: Uint8Array<ArrayBuffer> }
  | { readonly term: string; readonly message: Message }

/** Sends a message to other tabs. */
export function post(channel: BroadcastChannel, message: BroadcastMessage | LeaderMessage | TabMessage): void {
  channel.postMessage({ v: version, ...message })
}

/** Parses a message to all tabs; returns undefined when it is malformed or of another version. */
export function parseBroadcast(data: unknown): BroadcastMessage | undefined {
  return versionOf(data) === version && messages.broadcast(data) ? (data as BroadcastMessage) : undefined
}

/** Parses a message of a leader; returns undefined when it is malformed or of another version. */
export function parseLeaderMessage(data: unknown): LeaderMessage | undefined {
  return versionOf(data) === version && messages.leaderMessage(data) ? (data as LeaderMessage) : undefined
}

/** Parses a message of a tab to its leader; returns undefined when it is malformed or of another version. */
export function parseTabMessage(data: unknown): TabMessage | undefined {
  return versionOf(data) === version && messages.tabMessage(data) ? (data as TabMessage) : undefined
}

function versionOf(data: unknown): unknown {
  return (data as { readonly v?: unknown } | null | undefined)?.v
}

/** Returns the id of a tab of another version that wants to follow. */
export function helloOfOtherVersion(data: unknown): string | undefined {
  const { hello } = (data ?? {}) as { readonly hello?: unknown }
  return typeof hello === 'string' && versionOf(data) !== version ? hello : undefined
}

/** `database_in_use` for a message of a tab or leader of another version; undefined for any other message. */
export function versionMismatch(data: unknown): TidelockError | undefined {
  const { term, hello } = (data ?? {}) as { readonly term?: unknown; readonly hello?: unknown }
  const isOther = versionOf(data) !== version && (typeof term === 'string' || typeof hello === 'string')
  return isOther
    ? new TidelockError('database_in_use', 'Another tab has the database open with another version of tidelock', {
        hint: 'Reload all tabs of this app, so that they run the same version',
      })
    : undefined
}

/** Returns the rejection of a malformed request; undefined when its sender waits for no answer. */
export function rejectionFor(data: unknown): Message | undefined {
  const { id } = ((data as { readonly message?: unknown } | null)?.message ?? {}) as { readonly id?: unknown }
  if (typeof id !== 'number' || !(id > 0)) return undefined
  const error = invalid('The leader tab does not know this call', {
    hint: 'Reload all tabs of this app, so that they run the same version',
  })
  return { answer: id, thrown: serializeError(error) }
}

/** Creates the term of a new leader. */
export function newTerm(): string {
  return `${Date.now()}/${crypto.randomUUID()}`
}

/** Whether a term began before another one: a leader that was frozen may still use an old term. */
export function isBefore(one: string, other: string): boolean {
  // A term of another form comes from no leader, and is before all others.
  return !(Number.parseInt(one, 10) >= Number.parseInt(other, 10))
}

/** Returns the names of a database's locks and channels. */
export function namesOf(name: string) {
  return {
    /** The lock of the tab that leads, or is about to. */
    leader: `tidelock/${name}/leader`,
    /** The lock of a leader while it opens its engine. */
    opening: `tidelock/${name}/opening`,
    /** The lock of an open engine. */
    engine: `tidelock/${name}`,
    /** The prefix of a tab's id in the names of its channel, and of the lock that it holds as long as it lives. */
    client: `tidelock/${name}/client/`,
    all: `tidelock/${name}/tabs`,
  }
}
