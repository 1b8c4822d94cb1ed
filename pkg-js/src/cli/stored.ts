import { randomInt } from 'node:crypto'
import { chmodSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Invocation } from './command.js'
import { type Database, type OpenOptions, open, TidelockError } from './tidelock.js'

/** A database on this machine: a `.sqlite` file, or the folder of `storage: 'file'`. */
export interface Stored {
  readonly path: string
  readonly kind: 'file' | 'folder'
}

/** Looks at what is there. Fails with `invalid_argument` for what isn't, unless it may be missing. */
export function stored(where: string): Stored {
  const found = statSync(where, { throwIfNoEntry: false })
  if (found === undefined) throw unusable(`${where} is not there`)
  return { path: where, kind: found.isDirectory() ? 'folder' : 'file' }
}

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
    ? open({ name, path: where, onWarning, ...folder, ...options })
    : open({ name, storage: 'memory', seed: readBytes(where), snapshots: false, onWarning, ...options }))
  try {
    const answer = await work(db)
    if (write && kind === 'file') writeWhole(where, await db.export())
    return answer
  } finally {
    await db.close()
  }
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
    writeFileSync(beside, bytes, { flush: true, flag: 'wx', mode: 0o600 })
    const { mode } = statSync(file, { throwIfNoEntry: false }) ?? { mode: 0o666 & ~process.umask() }
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
  return existsSync(file) ? readBytes(file) : undefined
}

function readBytes(file: string): Uint8Array<ArrayBuffer> {
  try {
    return readFileSync(file)
  } catch (cause) {
    throw unusable(`${file} can't be read: ${(cause as Error).message}`)
  }
}

function unusable(message: string, hint?: string): TidelockError {
  return new TidelockError('invalid_argument', message, { hint })
}
