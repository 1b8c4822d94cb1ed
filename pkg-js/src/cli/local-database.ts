import { randomInt } from 'node:crypto'
import { chmodSync, existsSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { makeFolder as makeFolderAndThoseAbove } from '../node/make-folder.js'
import type { Invocation } from './command.js'
import { CommandError, unusable, usageError } from './errors.js'
import { type Database, databases, type Migration, type OpenOptions, open } from './package.js'
import { readBytes } from './read.js'

/** A database on this machine: a `.sqlite` file, or the folder of `storage: 'file'`. */
export interface LocalDatabase {
  readonly path: string
  readonly kind: 'file' | 'folder'
}

/** Returns the database in the arguments: the path `given` as an operand, or the option --db. Throws `invalid_argument`. */
export function databaseIn(given: Invocation, operand: string | undefined, command: string): LocalDatabase {
  const option = given.value('db')
  if (operand !== undefined && option !== undefined)
    throw usageError('The database is given twice', `Pass either ${operand} or --db ${option}`)
  const where = operand ?? option
  if (!where)
    throw usageError(
      `tidelock ${command} needs the path of a database`,
      `npx tidelock ${command} --help shows its usage`,
    )
  return given.flag('create') && !existsSync(where) ? { path: where, kind: 'file' } : stored(where)
}

/** Returns the kind of a database. Throws `invalid_argument` when neither a file nor a folder exists there. */
export function stored(where: string): LocalDatabase {
  const found = statSync(where, { throwIfNoEntry: false })
  if (found === undefined)
    throw unusable(
      `${where} does not exist`,
      'Check the path; npx tidelock migrate run FILE --create and npx tidelock pull --out FILE make a database file',
    )
  if (!found.isDirectory() && !found.isFile()) throw unusable(`${where} is neither a file nor a folder`)
  return { path: where, kind: found.isDirectory() ? 'folder' : 'file' }
}

/** The largest file, in bytes: the default of `maxBytes` in `open`. */
const maxFileBytes = 2 ** 30
/** How long the SQL of a file or of a remote may run to create a schema. */
export const schemaTimeoutMs = 10_000

type Extra = Pick<OpenOptions, 'migrations' | 'migrate' | 'remote' | 'outOfOrder' | 'baseline' | 'onWarning'> & {
  /** Whether changes are stored; false by default. */
  readonly write?: boolean
  /** Whether the folder may have no database yet. Else that is `invalid_argument`: a database made there would hide a wrong path. */
  readonly mayBeNew?: boolean
  /** What a folder without a database may be instead, and how to pass it, for the hint. */
  readonly otherFolder?: string
}

/** The app's options decide which snapshots go and how far the page log reaches; here they aren't known. */
const keepingAll = {
  onHidden: false,
  keep: 2 ** 32 - 1,
  logRetentionMs: Number.MAX_SAFE_INTEGER,
  logMaxBytes: Number.MAX_SAFE_INTEGER,
}

/** Makes `open` read a folder without writing to it: see src/node/files.ts. */
const readOnly = { [Symbol.for('tidelock.readOnly')]: true }

/**
 * Opens a database, runs `work` and closes it. Without `write` nothing is written: changes of opening a folder stay in memory. A `.sqlite`
 * file is opened in memory, and written back, whole or not at all, when `work` succeeded.
 */
export async function withDatabase<T>(
  { path: where, kind }: LocalDatabase,
  given: Invocation,
  extra: Extra,
  work: (db: Database) => Promise<T>,
): Promise<T> {
  const { write = false, mayBeNew = false, otherFolder, ...options } = extra
  const onWarning = ({ message }: { message: string }) => given.output.warn(message)
  const name = nameOf(where)
  const folder = write ? { snapshots: keepingAll } : { snapshots: false as const, ...readOnly }
  if (kind === 'folder' && !mayBeNew && !(await holdsDatabase(where)))
    throw unusable(
      `${where} contains no database`,
      ["Pass the folder of a database with storage: 'file'", otherFolder].filter(Boolean).join(', or '),
    )
  const db = await (kind === 'folder'
    ? open({ name, storage: 'file', path: where, onWarning, ...folder, ...options })
    : open({ name, storage: 'memory', seed: bytesIfExists(where), snapshots: false, onWarning, ...options }))
  try {
    const answer = await work(db)
    if (write && kind === 'file') writeWhole(where, await db.export())
    return answer
  } finally {
    await db.close()
  }
}

/** Returns whether a folder contains a database, or what is left of one. */
async function holdsDatabase(folder: string): Promise<boolean> {
  // Throws where the folder can't be read, in which `databases` finds nothing.
  if (readdirSync(folder).length === 0) return false
  const found = await databases({ storage: 'file', path: folder })
  return found.some((database) => database.path === path.resolve(folder))
}

/** Runs `work` with a database in memory, prepared with these migrations: they are applied, unless `prepare` does something else. */
export async function withScratch<T>(
  migrations: readonly Migration[],
  work: (db: Database) => Promise<T>,
  prepare: (db: Database) => Promise<unknown> = (db) => db.migrations.run({ timeoutMs: schemaTimeoutMs }),
): Promise<T> {
  const db = await open({ name: 'scratch', storage: 'memory', snapshots: false, migrations, migrate: false })
  try {
    await prepare(db)
    return await work(db)
  } finally {
    await db.close()
  }
}

/** Runs `work` with a database in memory in which a script has run. */
export async function withScriptScratch<T>(script: string, work: (db: Database) => Promise<T>): Promise<T> {
  return withScratch([], work, (db) => db.exec(script, { timeoutMs: schemaTimeoutMs }))
}

/** Returns a database name made from the path of a file or folder. */
export function nameOf(where: string): string {
  const base = path.basename(path.resolve(where)).replace(/\.(tidelock|sqlite3?|db)$/i, '')
  return base.slice(0, 128) || 'database'
}

/**
 * Writes a file atomically, with the permissions of the file that it replaces, or of a new file. The temporary file beside it is private,
 * and its random name, created exclusively, can't be prepared by another user.
 */
export function writeWhole(file: string, bytes: Uint8Array): void {
  const beside = `${file}.${randomInt(2 ** 48 - 1)}.new`
  try {
    const before = statSync(file, { throwIfNoEntry: false })
    if (before?.isFile() === false) throw new Error('it is not a regular file')
    writeFileSync(beside, bytes, { flush: true, flag: 'wx', mode: 0o600 })
    const { mode } = before ?? { mode: 0o666 & ~process.umask() }
    chmodSync(beside, mode & 0o777)
    renameSync(beside, file)
  } catch (cause) {
    if (existsSync(beside)) rmSync(beside, { force: true })
    throw new CommandError('storage_unavailable', `${file} can't be written: ${(cause as Error).message}`, {
      hint: 'Check that its folder exists, is writable and has free space',
      cause,
    })
  }
}

/** Creates a folder where there is none. Throws `invalid_argument`. */
export function makeFolder(folder: string): void {
  try {
    makeFolderAndThoseAbove(folder)
  } catch (cause) {
    throw unusable(`${folder} can't be created as a folder: ${(cause as Error).message}`, 'Choose another folder')
  }
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    throw unusable(`${folder} is a file, not a folder`, 'Choose another folder')
}

/** Writes a file that doesn't exist yet. Returns false, and changes nothing, when there is one. */
export function writeNew(file: string, bytes: Uint8Array): boolean {
  try {
    writeFileSync(file, bytes, { flush: true, flag: 'wx', mode: 0o666 })
    return true
  } catch (cause) {
    if ((cause as { code?: unknown }).code === 'EEXIST') return false
    throw new CommandError('storage_unavailable', `${file} can't be written: ${(cause as Error).message}`, {
      hint: 'Check that its folder exists, is writable and has free space',
      cause,
    })
  }
}

/** Returns the bytes of a file; undefined when it doesn't exist. */
export function bytesIfExists(file: string): Uint8Array<ArrayBuffer> | undefined {
  return existsSync(file) ? readBytes(file, maxFileBytes) : undefined
}
