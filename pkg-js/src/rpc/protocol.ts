import type { Part } from '../../generated/instance.js'
import type { Encryption } from '../base/encryption.js'
import type { ResultTexts } from '../engine/codec/result-rows.js'
import type { CoreEvent } from '../engine/core.js'
import type { CoreOptions } from '../engine/core-options.js'
import type { DirectConnection } from '../engine/direct-connection.js'
import type { Work, WorkResult } from '../engine/work.js'
import type { FunctionsSource } from '../functions/functions.js'
import type { EngineCallbacks } from '../instance/database-client.js'
import type { HttpRequest, HttpResponse } from '../remote/request.js'
import type { LifecycleEvent } from './page-lifecycle.js'
import type { SerializedError } from './serialized-error.js'

// The methods by which a page and the worker of its database call each other. Permits are those of the engine's connection mutex.

/** The parameters of one or more executions in the layout of `Core.execute`: the first `bytes` bytes of the buffer. */
export interface ParameterBuffer {
  readonly buffer: ArrayBuffer
  readonly bytes: number
  readonly names: string
}

/** The result of a statement: its header, and the areas that the header points to as offsets into the buffer. */
export interface PackedResult {
  readonly buffer: ArrayBuffer
  /** The id of the list of column names. */
  readonly shape: number
  /** The column names; a client gets them with the first result of the shape. */
  readonly columns?: readonly string[]
  /** The texts, when the buffer leaves them out. */
  readonly texts?: ResultTexts
  /** The total changes of several executions; the header has only those of the last. */
  readonly changes?: number
}

/** The calls of an engine that serves another thread. */
export type ServedConnection = DirectConnection<readonly ParameterBuffer[], PackedResult>

/** The `timeoutMs` of a call, which counts from the call. */
export interface TimeLimit {
  readonly timeoutMs: number
  /** The time of the call, in milliseconds since 1970. */
  readonly since: number
}

/** The idempotency key of a write, recorded in the write's own transaction so that it happens exactly once: see src/tabs/applied.rs. */
export interface WriteId {
  /** Increases with each write of the tab. */
  readonly id: number
  /** The tab has the results of its writes up to this id. */
  readonly acknowledged: number
  /** Whether it was sent before, to an engine that may have applied it. */
  readonly again: boolean
}

/** The arguments with which a worker opens its database. */
export interface OpenRequest {
  readonly checked: CoreOptions
  /** Compiled by the page, which knows its address and shares it among databases. */
  readonly module: WebAssembly.Module
  readonly encryption: Encryption | undefined
  readonly functions: FunctionsSource | undefined
  readonly columnKeys: readonly Uint8Array[] | undefined
  /** Whether the page has a seed, or a fetch of the user's own. */
  readonly has: { readonly seed: boolean; readonly fetch: boolean }
  /** The types of events that have listeners. */
  readonly eventTypes: readonly string[]
  /** In a shared database: the id of the tab that opens it, and of all live tabs. */
  readonly tabs?: { readonly own: string; readonly alive: readonly string[] }
}

/** The arguments with which a worker moves a database. */
export type MoveRequest = Pick<OpenRequest, 'checked' | 'module' | 'encryption'>

/** The methods of a worker that its page calls. */
export interface WorkerMethods {
  /** Is answered as soon as the worker runs. */
  alive(): void
  /** Moves a database to the storage of the options; instead of `open`. */
  move(request: MoveRequest): void
  open(opening: OpenRequest): void
  /** Runs work under a permit; with `permitId` 0 under a permit of its own, until its writes are stored. */
  run(
    work: Work<readonly ParameterBuffer[]>,
    permitId: number,
    limit: TimeLimit | undefined,
    writeId?: WriteId,
  ): WorkResult<PackedResult>
  /** Acquires the connection mutex; returns the permit's id. */
  acquire(limit: TimeLimit | undefined): number
  release(permitId: number): void
  begin(permitId: number, immediate: boolean): number
  /** Commits that depth; returns whether `stored` has something to wait for. */
  commit(permitId: number, depth: number, writeId?: WriteId): boolean
  rollback(permitId: number, depth: number): void
  /** Resolves when what was committed under that permit is stored as `durability` promises; may be called once. */
  stored(permitId: number): void
  /** Registers a live query; without areas, by an earlier version of the package, its parameters aren't known. */
  watch(sql: string, areas?: readonly ParameterBuffer[]): number
  unwatch(id: number): void
  /** Calls a method of the engine by name. */
  core(method: string, ...args: unknown[]): unknown
  /** Sends events of this type from now on. */
  subscribe(type: string): void
  /** Sets the actor of this client's writes for the audit log. */
  actor(actor: string | undefined): void
  /** Resolves to whether the write of that id is in the database; if it is, once it is stored. */
  applied(writeId: number): boolean
  /** Serves another tab as well, whose messages use the port. */
  attach(client: string, port: MessagePort): void
  /** Ends the session of a closed tab; its transactions are rolled back. */
  detach(client: string): void
  /** Forwards a lifecycle event of the page to the engine. */
  page(event: LifecycleEvent): void
  close(): void
}

/** The methods of {@link WorkerMethods} that each client of an engine may call. */
export type ClientMethods = Omit<WorkerMethods, 'alive' | 'open' | 'move' | 'close' | 'page' | 'attach' | 'detach'>

/** The methods of {@link EngineCallbacks} that are forwarded unchanged between threads and tabs. */
export const forwardedCallbacks = [
  'accessToken',
  'nextSnapshot',
  'remoteFilter',
  'resolveConflict',
] as const satisfies readonly (keyof EngineCallbacks)[]

/** The methods of a page that its worker calls. */
export interface PageMethods extends Pick<EngineCallbacks, 'migrate' | (typeof forwardedCallbacks)[number]> {
  /** Sent when the worker runs. It holds a Web Lock of that name as long as it lives; undefined: there are no Web Locks. */
  hello(lock: string | undefined): void
  event(event: CoreEvent): void
  /** Sent when the engine has failed permanently. */
  dead(error: SerializedError): void
  fetch(url: string, asking: Omit<HttpRequest, 'signal'>): HttpResponse
  seed(): Uint8Array
  part(part: Part): WebAssembly.Module
  /** Sets the role of this tab in a shared database. */
  role(role: 'leader' | 'follower'): void
  /** Sent when another engine has taken over, which has no live queries yet. */
  renewed(): void
  /** Sent when the leader refuses this tab permanently, for instance because the leader's app is newer. */
  refused(error: SerializedError): void
}

/** The methods of a worker that has the files of a database, while its engine is in the page. */
export interface StorageMethods extends Pick<WorkerMethods, 'alive'> {
  /** Serves the database of that name; sent before all else. */
  serve(name: string, waitMs: number, module: WebAssembly.Module): void
  /** Carries out a request of {@link import('../engine/core.js').CoreStorageWorker}. */
  ask(request: Uint8Array): Uint8Array
  /** Looks whether the files are still there. */
  look(): boolean
  /** Closes the files. */
  close(): void
}

/** The methods of a page that the worker with its files calls. */
export type StorageClientMethods = Pick<PageMethods, 'hello' | 'dead' | 'part'>

/** Returns how many milliseconds of the limit remain, at least 0. */
export function remainingMs({ timeoutMs, since }: TimeLimit): number {
  // By the wall clock, although it may be set: the monotonic clocks of two threads drift apart while a computer sleeps.
  return Math.max(0, timeoutMs - Math.max(0, Date.now() - since))
}
