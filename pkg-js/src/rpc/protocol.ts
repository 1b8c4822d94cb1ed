import type { Part } from '../../generated/instance.js'
import type { Encryption } from '../base/encryption.js'
import type { Calls } from '../engine/calls.js'
import type { Texts } from '../engine/codec/rows.js'
import type { CoreEvent, CoreOptions } from '../engine/core.js'
import type { Done, Work } from '../engine/work.js'
import type { FunctionsSource } from '../functions/functions.js'
import type { User } from '../instance/user.js'
import type { Answer, Asking } from '../remote/request.js'
import type { Moment } from './page-lifecycle.js'
import type { Thrown } from './thrown.js'

// What a page and the worker of its database ask of each other. Tickets are those of the engine: who holds the turn.

/** The parameters of one or more executions, as `Core.execute` wants to find them in its area: the first `bytes` bytes. */
export interface Area {
  readonly buffer: ArrayBuffer
  readonly bytes: number
  readonly names: string
}

/** The result of a statement: its header and all that it points to, as offsets into the buffer. */
export interface Result {
  readonly buffer: ArrayBuffer
  /** The number of its shape, the list of its column names. */
  readonly shape: number
  /** The names, the first time that this shape comes. */
  readonly columns?: readonly string[]
  /** Its texts, where the buffer leaves them out. */
  readonly texts?: Texts
  /** The changes of several executions together, which their last header doesn't tell. */
  readonly changes?: number
}

/** The calls of an engine that serves another thread. */
export type ServedCalls = Calls<readonly Area[], Result>

/** How long a call may take. */
export interface Limit {
  readonly timeoutMs: number
  /** Since when, in milliseconds since 1970. */
  readonly since: number
}

/** A write that happens exactly once, whoever serves it: noted in its own transaction, see src/tabs/applied.rs. */
export interface Unit {
  /** Its number, growing with each write of the tab. */
  readonly id: number
  /** The tab has the answers of its writes up to this one. */
  readonly acknowledged: number
  /** It was sent before, to somebody who may have applied it. */
  readonly again: boolean
}

/** What a worker needs to open its database. */
export interface Opening {
  readonly checked: CoreOptions
  /** Compiled by the page, which knows where it lies and shares it among its databases. */
  readonly module: WebAssembly.Module
  readonly encryption: Encryption | undefined
  readonly functions: FunctionsSource | undefined
  readonly columnKeys: readonly Uint8Array[] | undefined
  /** Whether there is a seed, or a fetch of the user's own, to ask the page for. */
  readonly has: { readonly seed: boolean; readonly fetch: boolean }
  /** The events that somebody listens to. */
  readonly heard: readonly string[]
  /** Where several tabs share the database: the id of the one that opens it, and of all that live. */
  readonly tabs?: { readonly own: string; readonly alive: readonly string[] }
}

/** What a page asks of the worker. */
export interface WorkerMethods {
  open(opening: Opening): void
  /** Runs something on a ticket that has the turn; with ticket 0 on a turn of its own, until what it wrote is stored. */
  run(work: Work<readonly Area[]>, ticket: number, limit: Limit | undefined, unit?: Unit): Done<Result>
  /** A ticket that has the turn. */
  turn(limit: Limit | undefined): number
  leave(ticket: number): void
  begin(ticket: number, immediate: boolean): number
  /** Whether it wrote something whose storing is to be waited for. */
  commit(ticket: number, depth: number, unit?: Unit): boolean
  rollback(ticket: number, depth: number): void
  /** Resolves when what was committed on that ticket is stored as the durability promises; once. */
  stored(ticket: number): void
  watch(sql: string): number
  unwatch(id: number): void
  /** Calls a method of the engine by its name. */
  core(method: string, ...args: unknown[]): unknown
  /** Somebody listens to that event from now on. */
  heard(type: string): void
  /** Whom the audit log is to name for what this user writes. */
  actor(actor: string | undefined): void
  /** Whether the write of that number is in the database; if so, when it is stored. */
  applied(unit: number): boolean
  /** Another tab is served, too: its messages come and go by the port. */
  attach(client: string, port: MessagePort): void
  /** That tab is gone: what it had begun is rolled back. */
  detach(client: string): void
  /** The page is hidden, shown, or goes away, or its network: the name of the event by which the engine hears of it. */
  page(moment: Moment): void
  close(): void
}

/** What an engine asks of its user, wherever that is, and hands on as it is: a new question is one here, and a method of {@link User}. */
export const questions = ['accessToken', 'nextSnapshot', 'resolveConflict'] as const satisfies readonly (keyof User)[]

/** What a worker asks of its page, or tells it. */
export interface PageMethods extends Pick<User, 'migrate' | (typeof questions)[number]> {
  /** The worker runs. It holds a Web Lock of that name as long as it lives, where there are Web Locks. */
  hello(lock: string | undefined): void
  event(event: CoreEvent): void
  /** The engine stopped working. */
  dead(error: Thrown): void
  fetch(url: string, asking: Omit<Asking, 'signal'>): Answer
  seed(): Uint8Array
  part(part: Part): WebAssembly.Module
  /** What this tab is from now on, where several share the database. */
  role(role: 'leader' | 'follower'): void
  /** Another engine serves: it knows nothing of live queries and the like. */
  renewed(): void
}

/** How many milliseconds are left; 0 when none is. */
export function left({ timeoutMs, since }: Limit): number {
  // By the wall clock, which may be set: what threads have besides drifts apart while a computer sleeps.
  return Math.max(0, timeoutMs - Math.max(0, Date.now() - since))
}
