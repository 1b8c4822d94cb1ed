import type { Migration } from '../api/migrations.js'
import { checkEach } from '../base/check.js'
import { invalid, TidelockError } from '../base/errors.js'
import { lineOf, nulFlaw } from '../base/script-text.js'
import type { CoreMigration } from '../engine/core-options.js'

/** The largest number of migrations: a sparse array may claim any length. */
const mostMigrations = 10_000
/** The longest version or name, in UTF-16 units: errors and the tracking table contain them. */
const longestText = 200

const known = ['version', 'name', 'up', 'down', 'checksum', 'transaction']

/**
 * Checks the shape of the supplied migrations. Functions are replaced by flags and called back by version. The wasm module checks order,
 * duplicates and the history of the database. Throws `migration_invalid`.
 */
export function checkMigrations(migrations: unknown): CoreMigration[] {
  if (!Array.isArray(migrations)) {
    throw invalid('migrations must be an array', {
      details: { option: 'migrations' },
      hint: 'migrationsFrom() makes one from files',
    })
  }
  if (migrations.length > mostMigrations) {
    throw invalid(`migrations has ${migrations.length} elements, more than ${mostMigrations}`, {
      details: { option: 'migrations' },
      hint: 'Replace the oldest migrations by one that creates the schema which they leave',
    })
  }
  return checkEach('migrations', migrations, 'an array', checkMigration).slice()
}

function checkMigration(migration: unknown, index: number): CoreMigration {
  if (typeof migration !== 'object' || migration === null) throw malformed(index, undefined, 'it must be an object')
  const given = migration as Partial<Record<keyof Migration, unknown>>
  const { version, name, up, down, checksum, transaction } = given
  for (const key of Object.keys(given))
    if (!known.includes(key)) throw malformed(index, version, `it has no property '${key.slice(0, longestText)}'`)
  if (typeof version !== 'string') throw malformed(index, version, 'version must be a string')
  if (typeof name !== 'string') throw malformed(index, version, 'name must be a string')
  for (const [key, { length }] of Object.entries({ version, name }))
    if (length > longestText)
      throw malformed(index, version, `${key} has ${length} characters, more than ${longestText}`)
  if (typeof up !== 'string' && typeof up !== 'function')
    throw malformed(index, version, 'up must be SQL or a function')
  if (down !== undefined && typeof down !== 'string' && typeof down !== 'function') {
    throw malformed(index, version, 'down must be SQL or a function')
  }
  for (const [key, script] of Object.entries({ up, down })) {
    const flaw = typeof script === 'string' ? nulFlaw(script) : undefined
    if (flaw === undefined) continue
    const line = lineOf(script as string, flaw.index)
    throw new TidelockError(
      'migration_invalid',
      `Migration ${version} is malformed: ${key}, line ${line}: ${flaw.why}`,
      {
        details: { version, line },
        hint: flaw.hint,
      },
    )
  }
  if (checksum !== undefined && typeof checksum !== 'string')
    throw malformed(index, version, 'checksum must be a string')
  if (transaction !== undefined && typeof transaction !== 'boolean')
    throw malformed(index, version, 'transaction must be true or false')
  return {
    version,
    name,
    transaction: transaction ?? true,
    upIsFunction: typeof up === 'function',
    downIsFunction: typeof down === 'function',
    up: typeof up === 'string' ? up : undefined,
    down: typeof down === 'string' ? down : undefined,
    checksum,
  }
}

function malformed(index: number, version: unknown, why: string): TidelockError {
  const isShort = typeof version === 'string' && version.length <= longestText
  const which = isShort ? `Migration ${version}` : `Migration number ${index + 1}`
  const details = isShort ? { version } : { index }
  return new TidelockError('migration_invalid', `${which} is malformed: ${why}`, {
    details,
    hint: 'A migration is { version, name, up, down?, checksum?, transaction? }',
  })
}
