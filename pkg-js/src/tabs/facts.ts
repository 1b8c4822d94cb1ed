import type { CoreMigration, CoreOptions } from '../core.js'
import { invalid, TidelockError } from '../errors.js'
import type { Encryption } from '../options.js'
import { compareVersions } from '../versions.js'

/** What a tab says about itself to the leader. */
export interface Facts {
  readonly integers: CoreOptions['integers']
  /** Tells secrets apart without telling them. */
  readonly secret: string
  /** Without checksum: functions. None at all: this tab doesn't know of any. */
  readonly migrations?: readonly { readonly version: string; readonly checksum?: string }[]
  /** Whether it would run those that are pending. */
  readonly migrate: boolean
  readonly outOfOrder: CoreOptions['outOfOrder']
}

/** What a tab with these options says. */
export async function factsOf(options: CoreOptions, encryption: Encryption | undefined): Promise<Facts> {
  const { integers, migrations, migrate, outOfOrder, name } = options
  const known = migrations && (await Promise.all(migrations.map(versionOf)))
  const secret = await proofOf(name, encryption)
  return { integers, secret, migrate, outOfOrder, ...(known === undefined ? {} : { migrations: known }) }
}

/**
 * What the leader makes of a tab that wants to follow: it is welcome, it needs to lead because its app is newer, or it can't work with
 * what there is.
 */
export function judge(leader: Facts, tab: Facts): 'welcome' | 'handOver' | TidelockError {
  if (tab.integers !== leader.integers) return differs('integers')
  if (tab.secret !== leader.secret) return differs('encryption')
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

function differs(option: 'integers' | 'encryption'): TidelockError {
  return invalid(`The option ${option} is another one than in the tab that leads`, {
    details: { option },
    hint: `Tabs that share a database open it with the same ${option}`,
  })
}

async function versionOf({ version, up, checksum }: CoreMigration) {
  const sum = checksum ?? (up === undefined ? undefined : await sha256(up.replace(/\r\n?/g, '\n')))
  return sum === undefined ? { version } : { version, checksum: sum }
}

async function sha256(text: string): Promise<string> {
  return hex(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)))
}

/** The same for the same secret and database, and as hard to go back from as what is stored. */
async function proofOf(name: string, encryption: Encryption | undefined): Promise<string> {
  if (encryption === undefined) return ''
  const salt = new TextEncoder().encode(`tidelock/${name}/tabs`)
  if ('passphrase' in encryption) {
    const passphrase = new TextEncoder().encode(encryption.passphrase)
    const key = await crypto.subtle.importKey('raw', passphrase, 'PBKDF2', false, ['deriveBits'])
    const derivation = { name: 'PBKDF2', hash: 'SHA-256', salt, iterations: 600_000 }
    return hex(await crypto.subtle.deriveBits(derivation, key, 256))
  }
  const { key } = encryption
  const known = await crypto.subtle.importKey('raw', await crypto.subtle.digest('SHA-256', salt), 'AES-GCM', true, [
    'encrypt',
  ])
  // What it makes of something known. A nonce that random ones never meet.
  const how = key.algorithm.name === 'AES-KW' ? 'AES-KW' : { name: 'AES-GCM', iv: new Uint8Array(12) }
  if (key.usages.includes('wrapKey')) return hex(await crypto.subtle.wrapKey('raw', known, key, how))
  if (key.algorithm.name === 'AES-GCM' && key.usages.includes('encrypt'))
    return hex(await crypto.subtle.encrypt(how as AesGcmParams, key, salt))
  return 'key'
}

function hex(bytes: ArrayBuffer): string {
  return [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}
