import type { Encryption } from '../options.js'
import type { Message } from '../worker/channel.js'
import type { Thrown } from '../worker/thrown.js'
import type { Facts } from './facts.js'

// What tabs say to each other. A term is the time of one engine: what belongs to another one is not listened to.

/** To all tabs of the database. */
export type Call =
  /** A tab wants to follow. */
  | { readonly hello: string; readonly facts: Facts }
  /** A tab leads, or is about to. */
  | { readonly term: string }
  /** The database has another secret from now on. */
  | { readonly rekeyed: Encryption | null }

/** From the leader to one tab. */
export type FromLeader =
  | { readonly term: string; readonly say: 'welcome' | 'pong' | 'soon' | 'leaving' }
  | { readonly term: string; readonly refused: Thrown }
  | { readonly term: string; readonly message: Message }

/** From one tab to the leader. */
export type FromTab =
  | { readonly term: string; readonly say: 'ping' | 'bye' }
  | { readonly term: string; readonly message: Message }

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
