import type { CoreOptions } from '../engine/core-options.js'
import { checkAudit, checkExpires } from './check-audit.js'
import { checkRemote } from './check-remote.js'
import type { OpenOptions } from './options.js'

// A module of its own, which only apps with a remote, an audit or expiring rows load.

export { resolveConflict } from '../functions/conflict-function.js'
export { remoteFilter } from '../functions/remote-filter.js'
export { resolveClient, resolveRemote } from './resolve-remote.js'
export { checkRemote }

/**
 * Checks the options of `open` that `checkOptions` leaves out, and adds their defaults. With `secrets`, the key of the remote may be a
 * secret one. Throws `invalid_argument` with the name of the option.
 */
export function checkLazyOptions(
  { remote, audit, auditTable, migrationsTable, expires }: OpenOptions,
  secrets: boolean,
): Pick<CoreOptions, 'remote' | 'audit' | 'expires'> {
  return {
    audit: audit === undefined ? undefined : checkAudit(audit, auditTable, migrationsTable),
    expires: expires === undefined ? undefined : checkExpires(expires),
    remote: remote === undefined ? undefined : checkRemote(remote, secrets),
  }
}
