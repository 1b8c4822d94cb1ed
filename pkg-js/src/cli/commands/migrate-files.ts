import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { type Invocation, misuse, type OptionSpec } from '../command.js'
import { readText } from '../read.js'
import { writeWhole } from '../stored.js'
import { type Migration, migrationsFrom } from '../tidelock.js'

/** The option that names the folder of the migrations. */
export const folderOption: Readonly<Record<string, OptionSpec>> = {
  dir: { value: 'DIR', about: "the folder of the migrations; 'migrations' by default" },
}

/** The migrations of the folder that the options name, whichever of the known tools wrote it. */
export function readMigrations(given: Invocation): Migration[] {
  const folder = given.value('dir') ?? 'migrations'
  if (!existsSync(folder)) throw misuse(`There is no folder ${folder}`, 'Name the one of the migrations with --dir')
  return migrationsFrom(Object.fromEntries(sqlFiles(folder).map((file) => [file, readText(file)])))
}

/** Links to folders aren't followed: they may lead in a circle. */
function sqlFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const file = path.join(folder, entry.name)
    if (entry.isDirectory()) return sqlFiles(file)
    return /\.sql$/i.test(entry.name) ? [file] : []
  })
}

/** Writes a new migration, its way back in a file of its own; the files. Never over one that is there. */
export function writeMigration(given: Invocation, name: string, up: string, down: string): string[] {
  const folder = given.value('dir') ?? 'migrations'
  const plain = name
    .trim()
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .replace(/^_+|_+$/g, '')
  if (plain === '') throw misuse(`'${name}' is no name for a migration`, 'Letters and digits are')
  mkdirSync(folder, { recursive: true })
  const base = path.join(folder, `${newVersion(folder)}_${plain}`)
  const files = [
    [`${base}.up.sql`, up],
    [`${base}.down.sql`, down],
  ] as const
  for (const [file, text] of files) writeWhole(file, new TextEncoder().encode(text))
  return files.map(([file]) => file)
}

/** The version of a new migration: now, to the second, in digits; later where the folder has that one already. */
export function newVersion(folder: string): string {
  const taken = readdirSync(folder)
  for (let time = Date.now(); ; time += 1000) {
    const version = new Date(time).toISOString().replace(/\D/g, '').slice(0, 14)
    if (!taken.some((name) => name.startsWith(version))) return version
  }
}
