import { invalid, TidelockError } from '../base/errors.js'
import { hex } from '../base/file-bytes.js'
import { compareVersions } from '../base/versions.js'
import type { CoreMigration, CoreOptions } from '../engine/core.js'

/** What a tab says about itself to the leader. */
export interface Facts {
  readonly integers: CoreOptions['integers']
  /** Without checksum: functions. None at all: this tab doesn't know of any. */
  readonly migrations?: readonly { readonly version: string; readonly checksum?: string }[]
  /** Whether it would run those that are pending. */
  readonly migrate: boolean
  readonly outOfOrder: CoreOptions['outOfOrder']
}

/** What a tab with these options says. */
export async function factsOf({ integers, migrations, migrate, outOfOrder }: CoreOptions): Promise<Facts> {
  const known = migrations && (await Promise.all(migrations.map(versionOf)))
  return { integers, migrate, outOfOrder, migrations: known }
}

/**
 * What the leader makes of a tab that wants to follow: it is welcome, it needs to lead because its app is newer, or it can't work with
 * what there is.
 */
export function judge(leader: Facts, tab: Facts): 'welcome' | 'handOver' | TidelockError {
  if (tab.integers !== leader.integers) return differs('integers')
  if (tab.migrations === undefined) return 'welcome'
  const [theirs, ours] = [tab.migrations, leader.migrations ?? []]
  const find = (list: Facts['migrations'], version: string) =>
    list?.find((one) => compareVersions(one.version, version) === 0)
  for (const { version, checksum } of ours) {
    const same = find(theirs, version)
    if (same === undefined) {
      if (theirs.every((one) => compareVersions(one.version, version) < 0)) {
        return new TidelockError(
          'schema_too_new',
          `Another tab runs a newer version of this app: it has migration ${version}`,
          {
            hint: 'Reload the page to get the newer version',
            details: { version },
          },
        )
      }
      return new TidelockError('migration_missing', `Migration ${version}, which another tab has, is not supplied`, {
        hint: 'Supply it again: history is never shortened',
        details: { version },
      })
    }
    if (checksum !== undefined && same.checksum !== undefined && checksum !== same.checksum) {
      return new TidelockError('migration_checksum_mismatch', `Migration ${version} is another one in another tab`, {
        hint: 'Change the schema by a new migration instead of an old one',
        details: { version },
      })
    }
  }
  if (!tab.migrate) return 'welcome'
  const pending = theirs.filter(({ version }) => find(ours, version) === undefined)
  if (pending.length === 0) return 'welcome'
  const late = pending.find(({ version }) => ours.some((one) => compareVersions(one.version, version) > 0))
  if (late === undefined || tab.outOfOrder === 'apply') return 'handOver'
  return new TidelockError('migration_out_of_order', `Migration ${late.version} is older than what other tabs have`, {
    hint: "Give it a newer version, or open with outOfOrder: 'apply'",
    details: { version: late.version },
  })
}

/** The error of a tab that was opened with another value of an option that all tabs need to share. */
export function differs(option: 'integers' | 'encryption'): TidelockError {
  return invalid(`The option ${option} is another one than in the tab that leads`, {
    details: { option },
    hint: `Tabs that share a database open it with the same ${option}`,
  })
}

/** The error of a tab whose database has got another secret in another tab. */
export function rekeyed(): TidelockError {
  return new TidelockError('closed', 'Another tab has changed the encryption of the database', {
    hint: 'Open it again, with the passphrase or key that rekey was given there',
    details: { applied: null },
  })
}

async function versionOf({ version, up, checksum }: CoreMigration) {
  const sum = checksum ?? (up === undefined ? undefined : await sha256(up.replace(/\r\n?/g, '\n')))
  return sum === undefined ? { version } : { version, checksum: sum }
}

async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))
  return hex(new Uint8Array(digest))
}
