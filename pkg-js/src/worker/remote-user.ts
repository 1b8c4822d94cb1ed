import type { CoreEvent } from '../core.js'
import type { Conflict } from '../options.js'
import type { User } from '../user.js'
import type { Channel } from './channel.js'
import type { Opening, PageMethods, WorkerMethods } from './protocol.js'

/** The user of a database in another thread: what the engine asks goes there. */
export class RemoteUser implements User {
  readonly #channel: Channel<PageMethods, WorkerMethods>
  fetch?: (input: string, init: RequestInit) => Promise<Response>
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
    if (has.fetch) this.fetch = (input, init) => this.#fetch(input, init)
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

  /** As much of a Response as the engine reads, since not every one can be made anew (a status outside of 200 to 599). */
  async #fetch(input: string, { signal, ...init }: RequestInit): Promise<Response> {
    const { status, headers, body } = await this.#channel.ask('fetch', [input, init], { signal: signal ?? undefined })
    return { status, headers, arrayBuffer: async () => body } as unknown as Response
  }
}
