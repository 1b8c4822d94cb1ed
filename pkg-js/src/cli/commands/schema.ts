import path from 'node:path'
import type { Command } from '../command.js'
import type { Output } from '../output.js'
import { schemaFromRemote } from '../package.js'
import { readText } from '../read.js'
import { endpoint, names, remoteOptions, warning } from '../settings.js'
import { makeFolder, writeWhole } from '../write.js'
import { newVersion, sqlFiles } from './migrate-files.js'

interface PulledSchema {
  /** The migration; null: it was only printed. */
  readonly file: string | null
  readonly sql: string
  /** Whether the file is new. */
  readonly written: boolean
}

export const schemaPull: Command = {
  name: 'schema pull',
  about: "Writes the remote's tables as a migration for SQLite.",
  options: {
    ...remoteOptions,
    tables: { value: 'A,B', about: 'the tables; by default all that the remote shows' },
    dir: { value: 'DIR', about: "the folder of the migrations; 'migrations' by default" },
    name: { value: 'NAME', about: "the migration's name; 'remote' by default" },
    stdout: { about: 'print the SQL instead' },
  },
  examples: ['npx tidelock schema pull --env .env', 'npx tidelock schema pull --env .env --tables products --stdout'],

  async run(given): Promise<PulledSchema> {
    const tables = names(given.value('tables'))
    const { up } = await schemaFromRemote({
      ...endpoint(given),
      ...(tables.length === 0 ? {} : { tables }),
      ...warning(given),
    })
    const sql = up as string
    if (given.flag('stdout')) return { file: null, sql, written: false }
    const folder = given.value('dir') ?? 'migrations'
    makeFolder(folder)
    const known = sqlFiles(folder).find((file) => readText(file) === sql)
    if (known !== undefined) return { file: known, sql, written: false }
    const file = path.join(folder, `${newVersion(folder)}_${given.value('name') ?? 'remote'}.sql`)
    writeWhole(file, new TextEncoder().encode(sql))
    return { file, sql, written: true }
  },

  print({ file, sql, written }: PulledSchema, output: Output) {
    if (file === null) {
      output.lines(sql.trimEnd())
      return
    }
    output.line(file)
    if (!written) output.line('It has these tables already; nothing was written')
  },
}
