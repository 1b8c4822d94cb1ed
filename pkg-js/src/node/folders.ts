import * as fs from 'node:fs'
import { basename, join, resolve } from 'node:path'

// Databases in folders, as far as they are told without opening them. Only Node loads this, with `node-files.ts`.

const ending = '.tidelock'

/** A folder with a database. */
export interface DatabaseFolder {
  /** The name that `open` gives such a folder by default, else the folder's own. */
  readonly name: string
  readonly path: string
}

/** The databases in a folder, by name: itself, if it is one, else those next below it. Links aren't followed. */
export function databasesIn(folder: string): DatabaseFolder[] {
  const around = resolve(folder)
  if (holdsDatabase(around)) return [{ name: nameOf(around), path: around }]
  return entries(around)
    .filter((entry) => entry.isDirectory())
    .map((entry) => ({ name: nameOf(entry.name), path: join(around, entry.name) }))
    .filter(({ path }) => holdsDatabase(path))
    .sort((one, other) => (one.name < other.name ? -1 : 1))
}

/** Whether a folder holds a database. */
export function holdsDatabase(folder: string): boolean {
  return entries(folder).some((entry) => entry.isFile() && /^journal\.\d+$/.test(entry.name))
}

/** Removes the folders of a database that was deleted, unless something else is in them. */
export function removeFolders(folder: string): void {
  for (const each of [join(folder, 'chunks'), resolve(folder)]) {
    try {
      fs.rmdirSync(each)
    } catch {
      // What is left in it is not the database's.
    }
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
