import path from 'node:path'
import type { Command } from '../command.js'
import { makeFolder, writeWhole } from '../local-database.js'
import type { Output } from '../output.js'
import { schemaFromRemote } from '../package.js'
import { endpoint, names, remoteOptions, warning } from '../settings.js'
import { newVersion } from './migrate-files.js'

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

  async run(given): Promise<{ file: string | null; sql: string }> {
    const tables = names(given.value('tables'))
    const { up } = await schemaFromRemote({
      ...endpoint(given),
      ...(tables.length === 0 ? {} : { tables }),
      ...warning(given),
    })
    const sql = up as string
    if (given.flag('stdout')) return { file: null, sql }
    const folder = given.value('dir') ?? 'migrations'
    makeFolder(folder)
    const file = path.join(folder, `${newVersion(folder)}_${given.value('name') ?? 'remote'}.sql`)
    writeWhole(file, new TextEncoder().encode(sql))
    return { file, sql }
  },

  print({ file, sql }: { file: string | null; sql: string }, output: Output) {
    if (file === null) output.lines(sql.trimEnd())
    else output.line(file)
  },
}
