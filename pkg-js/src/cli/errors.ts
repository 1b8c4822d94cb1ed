import { TidelockError } from './package.js'

/** An error of the command line itself, whose hint is for its user already. */
export class CommandError extends TidelockError {}

/** The error for wrong usage, which ends with exit code 2. */
export class UsageError extends CommandError {}

/** Returns the error for wrong usage. */
export function usageError(message: string, hint?: string): UsageError {
  return new UsageError('invalid_argument', message, { hint })
}

/** Returns the error for a file or folder that can't be used. */
export function unusable(message: string, hint?: string): CommandError {
  return new CommandError('invalid_argument', message, { hint })
}
