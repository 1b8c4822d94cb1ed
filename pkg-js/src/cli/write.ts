import { randomInt } from 'node:crypto'
import { chmodSync, existsSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { makeFolder as makeFolderAndThoseAbove } from '../node/make-folder.js'
import { CommandError, unusable } from './errors.js'

/**
 * Writes a file atomically, with the permissions of the file that it replaces, or of a new file. The temporary file beside it is private,
 * and its random name, created exclusively, can't be prepared by another user. `check` runs last, and may throw a `CommandError`.
 */
export function writeWhole(file: string, bytes: Uint8Array, check?: () => void): void {
  const beside = `${file}.${randomInt(2 ** 48 - 1)}.new`
  try {
    const before = statSync(file, { throwIfNoEntry: false })
    if (before?.isFile() === false) throw new Error('it is not a regular file')
    writeFileSync(beside, bytes, { flush: true, flag: 'wx', mode: 0o600 })
    const { mode } = before ?? { mode: 0o666 & ~process.umask() }
    chmodSync(beside, mode & 0o777)
    check?.()
    renameSync(beside, file)
  } catch (cause) {
    if (existsSync(beside)) rmSync(beside, { force: true })
    if (cause instanceof CommandError) throw cause
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
