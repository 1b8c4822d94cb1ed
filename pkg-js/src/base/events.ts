import type { EngineWarningCode, ErrorCode } from './generated-types.js'

/** What a warning is about: an error that should be noticed, or a state of its own. */
export type WarningCode =
  | EngineWarningCode
  | ErrorCode
  | 'local_database_wins'
  | 'table_without_key'
  | 'transaction_idle'

/** The detail of a `warning` event, and what `onWarning` gets. */
export interface Warning {
  /** The cause, for programs. */
  readonly code: WarningCode
  /** One sentence for people. */
  readonly message: string
}

/** What becomes of a warning without `onWarning`. */
export function warnOnConsole({ code, message }: Warning): void {
  console.warn(`tidelock: ${message} (${code})`)
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
