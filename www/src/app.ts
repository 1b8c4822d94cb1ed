// The state that the views share.
import type { Database, PullReport, PushReport } from 'tidelock'

export interface App {
  readonly db: Database
  /** The number of successful pulls since the page was loaded. */
  pulls: number
  /** The reports of the last pull and the last push of this session, which stay visible when the user returns to their view. */
  lastPull?: PullReport
  lastPush?: PushReport | undefined
  /** Updates the numbers of the frame. */
  refresh(): void
}

export interface View {
  /** The elements of the view, with its heading. */
  readonly element: HTMLElement
  /** Called when another view replaces this one. */
  leave?(): void
}
