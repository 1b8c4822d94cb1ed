import { randomInt } from 'node:crypto'
import { chmodSync, existsSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Invocation } from './command.js'
import { readBytes, unusable } from './read.js'
import { type Database, type Migration, type OpenOptions, open, TidelockError } from './tidelock.js'

/** A database on this machine: a `.sqlite` file, or the folder of `storage: 'file'`. */
export interface Stored {
  readonly path: string
  readonly kind: 'file' | 'folder'
}

/** Looks at what is there. Fails with `invalid_argument` for what isn't, unless it may be missing. */
export function stored(where: string): Stored {
  const found = statSync(where, { throwIfNoEntry: false })
  if (found === undefined) throw unusable(`${where} is not there`)
  if (!found.isDirectory() && !found.isFile()) throw unusable(`${where} is neither a file nor a folder`)
  return { path: where, kind: found.isDirectory() ? 'folder' : 'file' }
}

/** As much as a database may have in `open` by default. */
const longestFile = 2 ** 30
/** The SQL of a file, or of a remote, may run so long to make a schema. */
export const longestRunMs = 30_000

type Extra = Pick<OpenOptions, 'migrations' | 'migrate' | 'remote' | 'outOfOrder' | 'baseline'>

/** Has `open` only read a folder: see src/node-files.ts. */
const readOnly = { [Symbol.for('tidelock.readOnly')]: true }

/**
 * Opens it, does the work and closes it. Nothing at all is written unless `write` is set: what the opening of a folder changes stays in
 * memory. A `.sqlite` file is worked on in memory anyway, and written back, whole or not at all, when the work succeeded.
 */
export async function withDatabase<T>(
  { path: where, kind }: Stored,
  given: Invocation,
  extra: Extra & { readonly write?: boolean },
  work: (db: Database) => Promise<T>,
): Promise<T> {
  const { write = false, ...options } = extra
  const onWarning = ({ message }: { message: string }) => given.output.warn(message)
  const name = nameOf(where)
  const folder = write ? { snapshots: { onHidden: false } } : { snapshots: false as const, ...readOnly }
  if (
    kind === 'folder' &&
    !write &&
    options.migrations === undefined &&
    !readdirSync(where).some((file) => file.startsWith('journal.'))
  )
    throw unusable(`${where} holds no database`, "It is the folder of a database with storage: 'file'")
  const db = await (kind === 'folder'
    ? open({ name, storage: 'file', path: where, onWarning, ...folder, ...options })
    : open({ name, storage: 'memory', seed: readBytes(where, longestFile), snapshots: false, onWarning, ...options }))
  try {
    const answer = await work(db)
    if (write && kind === 'file') writeWhole(where, await db.export())
    return answer
  } finally {
    await db.close()
  }
}

/** Works with a database in memory in which these migrations have run. */
export async function inScratch<T>(
  migrations: readonly Migration[] | undefined,
  work: (db: Database) => Promise<T>,
): Promise<T> {
  const history = migrations === undefined ? {} : { migrations, migrate: false }
  const db = await open({ name: 'scratch', storage: 'memory', snapshots: false, ...history })
  try {
    if (migrations !== undefined) await db.migrations.run({ timeoutMs: longestRunMs })
    return await work(db)
  } finally {
    await db.close()
  }
}

/** The same with what a script makes. */
export async function inScriptScratch<T>(script: string, work: (db: Database) => Promise<T>): Promise<T> {
  return inScratch(undefined, async (db) => {
    await db.exec(script, { timeoutMs: longestRunMs })
    return work(db)
  })
}

/** A name for a database from the place where it lies. */
export function nameOf(where: string): string {
  const base = path.basename(path.resolve(where)).replace(/\.(tidelock|sqlite3?|db)$/i, '')
  return base.slice(0, 128) || 'database'
}

/**
 * Writes a file so that it is never there by half. It has the rights of the one that it replaces, or those that new files get; until it is
 * whole, nobody else may read it, and nobody can have prepared its place.
 */
export function writeWhole(file: string, bytes: Uint8Array): void {
  const beside = `${file}.${randomInt(2 ** 48 - 1)}.new`
  try {
    const before = statSync(file, { throwIfNoEntry: false })
    if (before?.isFile() === false) throw new Error('something else than a file is there')
    writeFileSync(beside, bytes, { flush: true, flag: 'wx', mode: 0o600 })
    const { mode } = before ?? { mode: 0o666 & ~process.umask() }
    chmodSync(beside, mode & 0o777)
    renameSync(beside, file)
  } catch (cause) {
    rmSync(beside, { force: true })
    throw new TidelockError('storage_unavailable', `${file} can't be written: ${(cause as Error).message}`, {
      hint: 'Is its folder there, with room in it, and may you write to it?',
      cause,
    })
  }
}

/** The bytes of a file that is there, or undefined. */
export function bytesIfThere(file: string): Uint8Array<ArrayBuffer> | undefined {
  return existsSync(file) ? readBytes(file, longestFile) : undefined
}
