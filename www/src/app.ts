// What the views share.
import type { Database, PullReport, PushReport } from 'tidelock'

export interface App {
  readonly db: Database
  /** How many pulls ended well since the page was loaded. */
  pulls: number
  /** What the last pull and the last push of this session did, to be seen again when one comes back to their view. */
  lastPull?: PullReport
  lastPush?: PushReport | undefined
  /** Asks the frame to show its numbers anew. */
  refresh(): void
}

export interface View {
  /** The heading, with what stands beside it. */
  readonly element: HTMLElement
  /** Called when another view takes its place. */
  leave?(): void
}
