import { existsSync, readdirSync, statSync } from 'node:fs'
import path from 'node:path'
import type { Invocation } from './command.js'
import { unusable, usageError } from './errors.js'
import { type Database, databases, type Migration, type OpenOptions, open } from './package.js'
import { readSqliteFile, replaceSqliteFile } from './sqlite-file.js'

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
  const file = kind === 'file' ? readSqliteFile(where) : undefined
  const db = await (file === undefined
    ? open({ name, storage: 'file', path: where, onWarning, ...folder, ...options })
    : openContents(file.bytes, { name, storage: 'memory', snapshots: false, onWarning, ...options }))
  try {
    const answer = await work(db)
    if (write && file !== undefined) replaceSqliteFile(where, await db.export(), file.state)
    return answer
  } finally {
    await db.close()
  }
}

/**
 * Opens a new database with the contents of a file, if there is one. Keeps its unpushed changes, which a seed drops, as those of a restored
 * snapshot: none is sent until it is retried. Keeps its user, too, unless the user of the remote may be another one.
 */
export async function openContents(
  bytes: Uint8Array<ArrayBuffer> | undefined,
  options: OpenOptions,
  keepsUser = options.remote === undefined,
): Promise<Database> {
  const db = await open({ ...options, seed: bytes })
  try {
    const synced = await db.get("SELECT 1 FROM sqlite_schema WHERE name = 'tidelock_outbox'")
    if (bytes === undefined || synced === undefined) return db
    const { id } = await db.snapshots.import(bytes)
    await db.snapshots.restore(id, { force: true })
    if (!keepsUser) await db.run("DELETE FROM tidelock_sync WHERE name = 'user'")
    return db
  } catch (error) {
    await db.close()
    throw error
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
