// What the views share.
import type { Database } from 'tidelock'

export interface App {
  readonly db: Database
  /** How many pulls ended well since the page was loaded. */
  pulls: number
  /** What the last pull of this session did, to be seen again when one comes back to its view. */
  lastPull?: Awaited<ReturnType<Database['sync']['pull']>>
  /** Asks the frame to show its numbers anew. */
  refresh(): void
}

export interface View {
  /** The heading, with what stands beside it. */
  readonly element: HTMLElement
  /** Called when another view takes its place. */
  leave?(): void
}
