import { TidelockError } from './package.js'

/** An error of the command line itself, whose hint is for its user already. */
export class CommandError extends TidelockError {}

/** The error for wrong usage, which ends with exit code 2. */
export class UsageError extends CommandError {}

/** Returns the error for wrong usage. */
export function usageError(message: string, hint?: string): UsageError {
  return new UsageError('invalid_argument', message, { hint })
}

/** What to do about a path that can't be used. */
export const checkPath = 'Check the path, its permissions and the free space of the disk'

/** Returns the error for a call of the file system that failed, as without permission; undefined when `thrown` is of another kind. */
export function fileSystemError(thrown: unknown): CommandError | undefined {
  const { syscall, path } = (thrown ?? {}) as { syscall?: unknown; path?: unknown }
  if (typeof syscall !== 'string' || typeof path !== 'string') return undefined
  return new CommandError('storage_unavailable', `${path} can't be used`, { hint: checkPath, cause: thrown })
}

/** Returns the error for a file or folder that can't be used. */
export function unusable(message: string, hint?: string): CommandError {
  return new CommandError('invalid_argument', message, { hint })
}
