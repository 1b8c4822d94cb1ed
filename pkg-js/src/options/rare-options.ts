import type { CoreOptions } from '../engine/core.js'
import { checkRemote } from './check-remote.js'
import { checkAudit, checkExpires } from './check-upkeep.js'
import type { OpenOptions } from './options.js'

// What an app without a remote, an audit or rows that expire never loads: a module of its own.

export { resolveConflict } from '../functions/resolve-conflict.js'
export { checkRemote }

/**
 * Checks those options of `open` that `checkOptions` leaves out, and completes them. `secrets`: the remote's key may be a secret one.
 * Fails with `invalid_argument` naming the option.
 */
export function checkRareOptions(
  { remote, audit, auditTable, migrationsTable, expires }: OpenOptions,
  secrets: boolean,
): Pick<CoreOptions, 'remote' | 'audit' | 'expires'> {
  return {
    audit: audit === undefined ? undefined : checkAudit(audit, auditTable, migrationsTable),
    expires: expires === undefined ? undefined : checkExpires(expires),
    remote: remote === undefined ? undefined : checkRemote(remote, secrets),
  }
}
