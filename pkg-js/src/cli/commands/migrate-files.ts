import { readdirSync, statSync } from 'node:fs'
import path from 'node:path'
import { type Invocation, type OptionSpec, usageError } from '../command.js'
import { type Migration, migrationsFrom } from '../package.js'
import { readText } from '../read.js'
import { makeFolder, writeWhole } from '../write.js'

/** The option for the folder of the migrations. */
export const folderOption: Readonly<Record<string, OptionSpec>> = {
  dir: { value: 'DIR', about: "the folder of the migrations; 'migrations' by default" },
}

/** Reads the migrations of the folder in the options, in the format of any supported tool. */
export function readMigrations(given: Invocation): Migration[] {
  const folder = given.value('dir') ?? 'migrations'
  if (statSync(folder, { throwIfNoEntry: false }) === undefined)
    throw usageError(`There is no folder ${folder}`, 'Pass the folder of the migrations with --dir')
  return migrationsFrom(Object.fromEntries(sqlFiles(folder).map((file) => [file, readText(file)])))
}

/** Lists the SQL files below a folder. Doesn't follow links to folders, which may form a cycle. */
export function sqlFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const file = path.join(folder, entry.name)
    if (entry.isDirectory()) return sqlFiles(file)
    return /\.sql$/i.test(entry.name) ? [file] : []
  })
}

/** Writes the up and the down file of a new migration, and returns their paths. Never overwrites a migration. */
export function writeMigration(given: Invocation, name: string, up: string, down: string): string[] {
  const folder = given.value('dir') ?? 'migrations'
  const words = name
    .normalize()
    .toLowerCase()
    .match(/[\p{L}\p{N}][\p{L}\p{M}\p{N}]*/gu)
  if (words === null)
    throw usageError(`'${name}' has no letters or digits for the name of a migration`, 'Use letters and digits')
  makeFolder(folder)
  const base = path.join(folder, `${newVersion(folder)}_${words.join('_')}`)
  const files = [
    [`${base}.up.sql`, up],
    [`${base}.down.sql`, down],
  ] as const
  for (const [file, text] of files) writeWhole(file, new TextEncoder().encode(text))
  return files.map(([file]) => file)
}

/** Returns the version of a new migration: the current time in seconds, as digits, or a later one when the folder has it already. */
export function newVersion(folder: string): string {
  const taken = readdirSync(folder)
  for (let time = Date.now(); ; time += 1000) {
    const version = new Date(time).toISOString().replace(/\D/g, '').slice(0, 14)
    if (!taken.some((name) => name.startsWith(version))) return version
  }
}
