import type { CoreEvent } from '../core.js'
import type { Conflict } from '../options.js'
import type { Answer, Asking } from '../request.js'
import type { User } from '../user.js'
import type { Channel } from './channel.js'
import type { Opening, PageMethods, WorkerMethods } from './protocol.js'

/** The user of a database in another thread: what the engine asks goes there. */
export class RemoteUser implements User {
  readonly #channel: Channel<PageMethods, WorkerMethods>
  fetch?: (url: string, asking: Asking) => Promise<Answer>
  seed?: () => Promise<Uint8Array>
  readonly handle: (event: CoreEvent) => void

  /** `tell` spreads the events. */
  constructor(channel: Channel<PageMethods, WorkerMethods>, tell: (event: CoreEvent) => void) {
    this.#channel = channel
    this.handle = tell
  }

  /** Says what there is to ask for. */
  begin(has: Opening['has']): void {
    if (has.seed) this.seed = () => this.#channel.ask('seed', [])
    if (has.fetch) this.fetch = (url, { signal, ...asking }) => this.#channel.ask('fetch', [url, asking], { signal })
  }

  migrate(version: string, direction: 'up' | 'down', ticket: number): Promise<void> {
    return this.#channel.ask('migrate', [version, direction, ticket])
  }

  accessToken(): Promise<string | null> {
    return this.#channel.ask('accessToken', [])
  }

  nextSnapshot(after: number): Promise<number | null> {
    return this.#channel.ask('nextSnapshot', [after])
  }

  resolveConflict(conflict: Conflict): Promise<string | null> {
    return this.#channel.ask('resolveConflict', [conflict])
  }
}
