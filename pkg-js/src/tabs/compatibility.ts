import { invalid, TidelockError } from '../base/errors.js'
import { hex } from '../base/file-bytes.js'
import { compareVersions, versionKey } from '../base/versions.js'
import type { CoreMigration, CoreOptions } from '../engine/core-options.js'

/** The options of a tab that decide whether it can follow a leader. */
export interface TabInfo {
  readonly integers: CoreOptions['integers']
  /** The tab's migrations; functions have no checksum. Undefined: the tab was opened without the option. */
  readonly migrations?: readonly { readonly version: string; readonly checksum?: string }[]
  /** Whether the tab would run pending migrations. */
  readonly migrate: boolean
  readonly outOfOrder: CoreOptions['outOfOrder']
}

/** Creates the {@link TabInfo} of a tab with these options. */
export async function tabInfoOf({ integers, migrations, migrate, outOfOrder }: CoreOptions): Promise<TabInfo> {
  const known = migrations && (await Promise.all(migrations.map(versionOf)))
  return { integers, migrate, outOfOrder, migrations: known }
}

/**
 * Checks whether a tab can follow a leader. Returns `welcome`; `handOver` when the tab must lead because its app is newer; or the error
 * with which it is refused.
 */
export function checkCompatibility(leader: TabInfo, tab: TabInfo): 'welcome' | 'handOver' | TidelockError {
  if (tab.integers !== leader.integers) return optionDiffers('integers')
  if (tab.migrations === undefined) return 'welcome'
  const [theirs, ours] = [tab.migrations, leader.migrations ?? []]
  const [theirsByVersion, oursByVersion] = [byVersion(theirs), byVersion(ours)]
  for (const { version, checksum } of ours) {
    const same = theirsByVersion.get(versionKey(version))
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
      return new TidelockError('migration_checksum_mismatch', `Migration ${version} differs from that of another tab`, {
        hint: 'Add a new migration instead of changing an old one',
        details: { version },
      })
    }
  }
  if (!tab.migrate) return 'welcome'
  const pending = theirs.filter(({ version }) => !oursByVersion.has(versionKey(version)))
  if (pending.length === 0) return 'welcome'
  const newest = ours.reduce((newest, { version }) => (compareVersions(version, newest) > 0 ? version : newest), '')
  const late = pending.find(({ version }) => compareVersions(version, newest) < 0)
  if (late === undefined || tab.outOfOrder === 'apply') return 'handOver'
  return new TidelockError(
    'migration_out_of_order',
    `Migration ${late.version} is older than migrations of other tabs`,
    {
      hint: "Give it a newer version, or open with outOfOrder: 'apply'",
      details: { version: late.version },
    },
  )
}

function byVersion(migrations: NonNullable<TabInfo['migrations']>) {
  return new Map(migrations.map((migration) => [versionKey(migration.version), migration]))
}

/** `invalid_argument` for a tab that was opened with another value of an option that all tabs must share. */
function optionDiffers(option: 'integers'): TidelockError {
  return invalid(`The option ${option} differs from that of the leader tab`, {
    details: { option },
    hint: `Open the database with the same ${option} in all tabs that share it`,
  })
}

/** `decryption_failed` for a tab that was opened with another secret than the leader, with none, or with one where the leader has none. */
export function wrongSecret(): TidelockError {
  return new TidelockError('decryption_failed', 'The passphrase or key is not that of the leader tab', {
    hint: 'Nothing was changed; open it with the same `encryption` in all tabs that share it',
    details: { option: 'encryption' },
  })
}

/** `closed` for a follower whose database was given another secret by another tab. */
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
