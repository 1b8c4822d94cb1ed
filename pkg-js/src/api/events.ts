import type { Warning } from '../base/events.js'
import type {
  ChangeEvent,
  CloseReason,
  EngineSnapshotEvent,
  ErrorCode,
  FlushEvent,
  Health,
  LockEvent,
  MigrationEvent,
  SyncEvent,
} from '../base/generated-types.js'
import type { SnapshotCopied, SnapshotCopyFailed } from '../files/snapshot-copies.js'
import type { RequestEvent } from '../remote/request.js'

/** The detail of a `role` event: what this tab is from now on, see {@link Database.role}. */
export interface RoleEvent {
  /** The new role. */
  readonly role: 'leader' | 'follower'
}

/** The detail of a `snapshot` event, by its `state`: one was taken or could not be, was copied to a target or could not be. */
export type SnapshotEvent = EngineSnapshotEvent | SnapshotCopied | SnapshotCopyFailed

/**
 * The detail of a `health` event: `{ error }` when commits can't be stored (null once they can), and the whole report of
 * {@link Database.health} when its status or alerts have changed.
 */
export type HealthEvent = FlushEvent | Health

/** The detail of the `close` event: after it every call rejects. */
export interface DatabaseCloseEvent {
  /** `closed` by a call; `released` when another tab took over; else the code of the error that ended the engine of this database. */
  readonly reason: CloseReason | ErrorCode
  /** What that error says. */
  readonly message?: string
}

/** The events of a {@link Database} by name. */
export interface DatabaseEventMap {
  readonly lock: CustomEvent<LockEvent>
  readonly role: CustomEvent<RoleEvent>
  readonly snapshot: CustomEvent<SnapshotEvent>
  readonly sync: CustomEvent<SyncEvent>
  readonly request: CustomEvent<RequestEvent>
  readonly change: CustomEvent<ChangeEvent>
  readonly health: CustomEvent<HealthEvent>
  readonly migration: CustomEvent<MigrationEvent>
  readonly warning: CustomEvent<Warning>
  readonly close: CustomEvent<DatabaseCloseEvent>
}

/** One of them, before it is dispatched. */
export type DatabaseEvent = {
  [Type in keyof DatabaseEventMap]: { readonly type: Type; readonly detail: DatabaseEventMap[Type]['detail'] }
}[keyof DatabaseEventMap]
