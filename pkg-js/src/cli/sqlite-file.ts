import { existsSync, realpathSync, statSync } from 'node:fs'
import { CommandError } from './errors.js'
import { readBytes, readStart } from './read.js'
import { writeWhole } from './write.js'

// Node can't test the locks that SQLite takes on a file. Changes beside it, and of it, show that another program uses it.

/** The largest file, in bytes: the default of `maxBytes` in `open`. */
const maxFileBytes = 2 ** 30

/** A `.sqlite` file as it was read. */
export interface SqliteFile {
  /** Undefined when the file didn't exist. */
  readonly bytes: Uint8Array<ArrayBuffer> | undefined
  /** Distinguishes the file from what it is after any change. */
  readonly state: string
}

/**
 * Reads a `.sqlite` file, if there is one. Throws `database_in_use` when another program has changes beside it, or changes it meanwhile, and
 * `invalid_argument`.
 */
export function readSqliteFile(file: string): SqliteFile {
  const state = sqliteFileState(file)
  const bytes = existsSync(file) ? readBytes(file, maxFileBytes) : undefined
  requireState(file, state)
  return { bytes, state }
}

/** Replaces a `.sqlite` file, or makes it, if it still has the state in which it was read. Throws as {@link readSqliteFile}, having changed nothing. */
export function replaceSqliteFile(file: string, bytes: Uint8Array, state: string): void {
  // Other outputs replace a link: what it leads to may not be meant. This file was read through the link.
  writeWhole(existsSync(file) ? realpathSync(file) : file, bytes, () => requireState(file, state))
}

function requireState(file: string, state: string): void {
  if (sqliteFileState(file) === state) return
  throw new CommandError('database_in_use', `Another program changed ${file} meanwhile`, {
    hint: 'Nothing was written. Close the file in the other program, then run the command again',
  })
}

/** Returns the state of a `.sqlite` file. Throws `database_in_use` when another program has changes beside it. */
export function sqliteFileState(file: string): string {
  const found = statSync(file, { throwIfNoEntry: false })
  // SQLite names them after the file that a link leads to.
  const real = found === undefined ? file : realpathSync(file)
  for (const ending of ['-wal', '-journal']) {
    const beside = real + ending
    if (!existsSync(beside) || !hasChanges(readStart(beside, 48))) continue
    if (found === undefined)
      throw new CommandError('database_in_use', `${beside} has changes of a file that does not exist`, {
        hint: `Put ${file} back, or remove ${beside}: SQLite would apply it to the new file`,
      })
    throw new CommandError('database_in_use', `${file} is in use, or was not closed: its ${ending} file has changes`, {
      hint: `Close it in the program that uses it. After a crash, open and close it there, or run sqlite3 "${file}" "PRAGMA wal_checkpoint(TRUNCATE)"`,
    })
  }
  if (found === undefined) return 'nothing'
  const { dev, ino, size, mtimeMs } = found
  // The first 100 bytes include the number of changes of the file.
  return [dev, ino, size, mtimeMs, ...readStart(file, 100)].join(' ')
}

/** Returns whether SQLite could use the write-ahead log or the rollback journal that begins with these bytes: see https://sqlite.org/fileformat2.html. */
function hasChanges(start: Uint8Array): boolean {
  const isWal = start[0] === 0x37 && start[1] === 0x7f
  // The first frame has the salts of the header, unless the log has none that count.
  if (isWal) return start.length === 48 && start.subarray(16, 24).every((byte, at) => byte === start[40 + at])
  // `journal_mode=PERSIST` overwrites the header of a journal with zeros. A transaction that begins leaves only a part of it zero.
  return start.subarray(0, 28).some((byte) => byte !== 0)
}
