import * as fs from 'node:fs'
import { basename, join, resolve } from 'node:path'

// Finds databases in folders without opening them. Only Node loads this, with `files.ts`.

const ending = '.tidelock'

/** A folder with a database. */
export interface DatabaseFolder {
  /** The database name, where the folder is the default folder of a name; otherwise the folder's own name. */
  readonly name: string
  readonly path: string
}

/** Returns the database in a folder, or else those in its direct subfolders, sorted by name. Doesn't follow links. */
export function databasesIn(folder: string): DatabaseFolder[] {
  const around = resolve(folder)
  if (holdsDatabase(around)) return [{ name: nameOf(around), path: around }]
  return entries(around)
    .filter((entry) => entry.isDirectory())
    .map((entry) => ({ name: nameOf(entry.name), path: join(around, entry.name) }))
    .filter(({ path }) => holdsDatabase(path))
    .sort((one, other) => (one.name < other.name ? -1 : 1))
}

/** Returns whether a folder contains a database, or what is left of one. */
export function holdsDatabase(folder: string): boolean {
  const files = entries(folder).filter((entry) => entry.isFile())
  // The space that a database reserves says that there was one; without one, it is empty.
  const isFilled = () => (fs.statSync(join(folder, 'reserve'), { throwIfNoEntry: false })?.size ?? 0) > 0
  return files.some(({ name }) => /^(journal|pack)\.\d+$/.test(name) || (name === 'reserve' && isFilled()))
}

/** Removes the folder of a deleted database, unless it contains other files. */
export function removeFolder(folder: string): void {
  try {
    fs.rmdirSync(resolve(folder))
  } catch {
    // The folder contains files that aren't the database's.
  }
}

function entries(folder: string) {
  try {
    return fs.readdirSync(folder, { withFileTypes: true })
  } catch {
    return []
  }
}

function nameOf(folder: string): string {
  const own = basename(folder)
  if (!own.endsWith(ending)) return own
  return own
    .slice(0, -ending.length)
    .replace(/%([0-9a-f]{2})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
}
