/** The detail of a `warning` event, and what `onWarning` gets. */
export interface Warning {
  readonly code: string
  readonly message: string
}

/**
 * The detail of a `lock` event. `released`: another tab asked for the database, and this one closed. `lost`: another tab took it away;
 * every call rejects with `lock_lost`, and {@link Database.close} is all that is left to do.
 */
export interface LockEvent {
  readonly state: 'released' | 'lost'
  readonly [fact: string]: unknown
}

/** The detail of a `role` event: what this tab is from now on, see {@link Database.role}. */
export interface RoleEvent {
  readonly role: 'leader' | 'follower'
}

/** The detail of a `change` event: the tables that a commit changed. */
export interface ChangeEvent {
  readonly tables: readonly string[]
  readonly [fact: string]: unknown
}

/**
 * The detail of a `snapshot`, `sync` or `health` event: what happened, in facts. Of `health`: `{ error }` when commits can't be stored (null
 * once they can), and the whole report of {@link Database.health} when its status or alerts have changed.
 */
export type FactsEvent = Readonly<Record<string, unknown>>

/** The detail of a `migration` event: one that is about to run, of a call on an open database. */
export interface MigrationEvent {
  readonly version: string
  readonly name: string
  readonly direction: 'up' | 'down'
  /** How many of this run are done, and how many it has. */
  readonly done: number
  readonly total: number
}

/** The detail of the `close` event: after it every call rejects. */
export interface CloseEvent {
  /** `closed` by a call; `released` when another tab took over; `internal` when the engine of this database stopped working. */
  readonly reason?: string
  readonly [fact: string]: unknown
}

/** The events of a {@link Database} by name. */
export interface DatabaseEventMap {
  readonly lock: CustomEvent<LockEvent>
  readonly role: CustomEvent<RoleEvent>
  readonly snapshot: CustomEvent<FactsEvent>
  readonly sync: CustomEvent<FactsEvent>
  readonly change: CustomEvent<ChangeEvent>
  readonly health: CustomEvent<FactsEvent>
  readonly migration: CustomEvent<MigrationEvent>
  readonly warning: CustomEvent<Warning>
  readonly close: CustomEvent<CloseEvent>
}

/** Calls a user's callback whose result is not awaited. An error is reported as an uncaught one. */
export function callUser<Args extends readonly unknown[]>(callback: (...args: Args) => unknown, ...args: Args): void {
  try {
    callback(...args)
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}
