// What the views share.
import type { Database, OpenOptions } from '../../index.js'
import type { Recorder } from './recorder.js'

/** The database and the services of the panel, for one view until it is left. */
export interface Context {
  readonly db: Database
  readonly wasm: OpenOptions['wasm']
  /** What the SQL view offers besides earlier statements. */
  readonly statements: readonly string[]
  readonly recorder: Recorder
  /** The table of the address of this view, if it names one. */
  readonly parameter: string | undefined
  /** Aborted when the view is left. */
  readonly signal: AbortSignal
  /** State of views that lasts as long as the panel, by names. */
  readonly memory: Map<string, unknown>
  /** The element that dialogs are added to. */
  readonly host: HTMLElement
  /** Shows a short message. */
  notify(text: string): void
  /** Shows an error, unless the view was left meanwhile. */
  fail(error: unknown): void
  /** Runs a part of the view; shows its error. */
  run(work: () => unknown): Promise<void>
  /** Runs a part of the view now, and again after changes of the database. */
  watch(work: () => Promise<void>): void
  /** Opens another view. */
  go(view: string): void
}

export type MakeView = (context: Context) => HTMLElement
