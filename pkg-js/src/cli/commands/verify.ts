import type { Command } from '../command.js'
import { stored, withDatabase } from '../local-database.js'
import type { Output } from '../output.js'

/** The result of a check. */
interface Verified {
  readonly ok: boolean
  readonly errors: readonly string[]
  readonly snapshots: number
}

export const verify: Command = {
  name: 'verify',
  about:
    'Checks the pages, indexes and foreign keys of a database; in a folder also each snapshot and the page log. Exit code 1 when a check fails.',
  operands: ['FILE|FOLDER'],
  options: {},
  examples: ['npx tidelock verify app.sqlite', 'npx tidelock verify ./shop.tidelock'],

  run: (given) => {
    const where = stored(given.positionals[0] as string)
    const errors: string[] = []
    // What the opening found and passed over.
    const onWarning = ({ code, message }: { readonly code: string; readonly message: string }) => {
      if (code === 'storage_damaged' || code === 'snapshot_corrupt') errors.push(message)
      else given.output.warn(message)
    }
    return withDatabase(where, given, { onWarning }, async (db): Promise<Verified> => {
      for (const row of await db.query<Record<string, string>>('PRAGMA integrity_check'))
        for (const text of Object.values(row)) if (text !== 'ok') errors.push(text)
      for (const { table, rowid, parent } of await db.query('PRAGMA foreign_key_check'))
        errors.push(`${table}: row ${rowid ?? '(without a rowid)'} violates the foreign key to ${parent}`)
      const snapshots = where.kind === 'folder' ? await db.snapshots.list() : []
      for (const { id, createdAt } of snapshots)
        for (const text of (await db.snapshots.verify(id)).errors)
          errors.push(`snapshot ${id} of ${createdAt}: ${text}`)
      if (where.kind === 'folder') errors.push(...(await db.snapshots.history({ limit: 1 })).errors)
      return { ok: errors.length === 0, errors, snapshots: snapshots.length }
    })
  },

  print({ ok, errors, snapshots }: Verified, output: Output) {
    for (const error of errors) output.line(error)
    if (ok) output.line(snapshots === 0 ? 'ok' : `ok, with ${snapshots} snapshots`)
  },
}
