import * as fs from 'node:fs'
import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import * as process from 'node:process'
import { threadId } from 'node:worker_threads'
import { TidelockError } from '../base/errors.js'
import { turnDue } from '../base/event-loop.js'
import type { NodeFiles } from '../engine/core.js'
import { makeFolder } from './make-folder.js'
import { ReadOnlyFiles } from './read-only.js'

export { databasesIn, holdsDatabase, removeFolder } from './folders.js'
export { readLastResults, writeLastResults } from './last-results.js'

// A module of its own: only Node loads it, and only for `storage: 'file'`.

/** The internal option of `open` with which the command line reads a folder without writing to it. */
const readOnly = Symbol.for('tidelock.readOnly')

/** Returns the files of a database's folder; they are read-only with the internal option for it. */
export function filesOf(folder: string, options: object): FolderFiles | ReadOnlyFiles {
  return readOnly in options ? new ReadOnlyFiles(new FolderFiles(folder, 'r')) : new FolderFiles(folder)
}

/** What distinguishes a file from others that have its name later. */
interface Identity {
  readonly dev: number
  readonly ino: number
}

/** The files of one folder and the processes of this machine, called by the wasm module. */
export class FolderFiles implements NodeFiles {
  readonly isPrivate = false
  readonly #folder: string
  readonly #mode: 'r' | 'r+'
  /** The file of the last call stays open, because the next call mostly uses it again. */
  #open: { readonly name: string; readonly file: number } | undefined
  /** Which file each name of the database's files stands for. */
  readonly #opened = new Map<string, Identity>()
  /** The lock file of this instance, until it is released. */
  #lock: string | undefined

  readonly #host: string

  /** `mode` is the flag with which existing files are opened. Throws `storage_unavailable` where the runtime keeps the machine's name secret. */
  constructor(folder: string, mode: 'r' | 'r+' = 'r+') {
    this.#folder = resolve(folder)
    this.#mode = mode
    this.#host = machineName()
  }

  /** Returns the path of a name. Throws for names outside of the folder and for symbolic links. */
  #path(name: string): string {
    return this.#look(name).path
  }

  /** Returns the path of a name, and what is there. Throws as {@link #path} does. */
  #look(name: string) {
    if (!/^\w[\w.-]*$/.test(name)) throw new Error('A file outside of the database folder was named')
    const path = join(this.#folder, name)
    const about = fs.lstatSync(path, { throwIfNoEntry: false })
    if (about !== undefined) mustBePlain(path, about)
    return { path, about }
  }

  /** Opens a file; returns undefined for a missing one. */
  #file(name: string): number | undefined {
    if (this.#open?.name === name) return this.#open.file
    this.close()
    try {
      const file = fs.openSync(this.#path(name), this.#mode)
      this.#open = { name, file }
      this.#mustBeSame(name, fs.fstatSync(file))
      return file
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return undefined
      throw error
    }
  }

  #existing(name: string): number {
    const file = this.#file(name)
    if (file === undefined) throw new Error(`${this.#path(name)} is gone`)
    return file
  }

  /** Throws ELOOP for a file that has another name, too, which may be outside of the folder. */
  #changeable(name: string): number {
    const file = this.#existing(name)
    if (fs.fstatSync(file).nlink > 1) throw notPlain(this.#path(name))
    return file
  }

  /**
   * Throws `lock_lost` when the name of a file of the database has become another file's: writing on would damage the one
   * that was moved, or the one that replaced it.
   */
  #mustBeSame(name: string, about: Identity): void {
    if (!/^(journal|pack)\./.test(name)) return
    const { dev, ino } = about
    const known = this.#opened.get(name)
    if (known === undefined) this.#opened.set(name, { dev, ino })
    else if (known.dev !== dev || known.ino !== ino) {
      this.close()
      throw new TidelockError('lock_lost', "The database's folder was replaced while the database was open", {
        hint: 'Close the database before its folder is moved or restored from a copy, then open it again',
      })
    }
  }

  prepare(names: string[]): void {
    if (names.length === 0) {
      this.close()
      return
    }
    makeFolder(this.#folder)
    const missing = names.filter((name) => this.size(name) === undefined)
    for (const name of missing) fs.closeSync(fs.openSync(this.#path(name), 'a'))
    // Windows can't open a folder; its file systems log changes of names.
    if (missing.length === 0 || process.platform === 'win32') return
    for (const folder of [this.#folder, join(this.#folder, '..')]) {
      const opened = fs.openSync(folder, 'r')
      try {
        fs.fsyncSync(opened)
      } finally {
        fs.closeSync(opened)
      }
    }
  }

  list(): string[] {
    try {
      const entries = fs.readdirSync(this.#folder, { withFileTypes: true })
      for (const entry of entries) mustBePlain(join(this.#folder, entry.name), entry)
      return entries.filter((entry) => entry.isFile()).map(({ name }) => name)
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return []
      throw error
    }
  }

  size(name: string): number | undefined {
    // By name, because another process may have replaced the open file.
    const { about } = this.#look(name)
    if (about !== undefined) this.#mustBeSame(name, about)
    return about?.size
  }

  read(name: string, at: number, into: Uint8Array): number {
    const file = this.#file(name)
    let filled = 0
    while (file !== undefined && filled < into.length) {
      const got = fs.readSync(file, into, filled, into.length - filled, at + filled)
      if (got === 0) break
      filled += got
    }
    this.#settle(name)
    return filled
  }

  write(name: string, at: number, bytes: Uint8Array): void {
    const file = this.#changeable(name)
    for (let written = 0; written < bytes.length; )
      written += fs.writeSync(file, bytes, written, bytes.length - written, at + written)
    this.#settle(name)
  }

  truncate(name: string, bytes: number): void {
    fs.ftruncateSync(this.#changeable(name), bytes)
    if (name === this.#lock) this.#lock = undefined
    this.#settle(name)
  }

  /** Closes a file of the lock: the last of them is used after the database was closed. */
  #settle(name: string): void {
    if (name.startsWith('lock.')) this.close()
  }

  sync(name: string): void {
    fs.fsyncSync(this.#existing(name))
  }

  create(name: string, bytes: Uint8Array): boolean {
    makeFolder(this.#folder)
    const unfinished = this.#path(`${name}.${this.pid}-${threadId}.tmp`)
    // A file of that name may have another one outside of the folder.
    fs.rmSync(unfinished, { force: true })
    try {
      fs.writeFileSync(unfinished, bytes, { flag: 'wx' })
      try {
        fs.linkSync(unfinished, this.#path(name))
      } catch (error) {
        // Some disks have no hard links.
        if (hasCode(error, 'EEXIST') || !this.#createAlone(name, bytes)) return false
      }
    } finally {
      fs.rmSync(unfinished, { force: true })
    }
    this.#lock = name
    return true
  }

  /** Creates a file that is empty meanwhile. Returns false when the name is taken. */
  #createAlone(name: string, bytes: Uint8Array): boolean {
    try {
      fs.writeFileSync(this.#path(name), bytes, { flag: 'wx' })
      return true
    } catch (error) {
      if (hasCode(error, 'EEXIST')) return false
      throw error
    }
  }

  remove(name: string): void {
    if (this.#open?.name === name) this.close()
    this.#opened.delete(name)
    if (name === this.#lock) this.#lock = undefined
    fs.rmSync(this.#path(name), { force: true })
  }

  close(): void {
    if (this.#open === undefined) return
    fs.closeSync(this.#open.file)
    this.#open = undefined
  }

  turn(): Promise<void> | undefined {
    return turnDue()
  }

  describe(): void {}

  async shown(): Promise<undefined> {}

  /** Releases the lock of an instance that trapped: other processes can't while this process lives. */
  abandon(): void {
    try {
      if (this.#lock !== undefined) this.truncate(this.#lock, 0)
    } catch {
      // The folder was removed, and the lock with it.
    }
    this.close()
  }

  get pid(): number {
    return process.pid
  }

  get thread(): number {
    // In Linux: <process id>/task/<thread id>.
    return Number(procLink('thread-self').split('/')[2] ?? process.pid)
  }

  get host(): string {
    return this.#host
  }

  began(id: number): string | undefined {
    if (process.platform !== 'linux') return isAlive(id) ? '' : undefined
    const stat = procText(`${id}/stat`)
    if (stat === undefined) return isAlive(id) ? '' : undefined
    // The name, in parentheses, may contain any character; after it, the first field is the state and the 20th the start time.
    const fields = stat
      .slice(stat.lastIndexOf(')') + 1)
      .trim()
      .split(/\s+/)
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined
    return `${procText('sys/kernel/random/boot_id') ?? ''} ${fields[19] ?? ''}`
  }
}

/** Returns where process ids are those that this process sees: this machine, or its container. Two of them may have the same name. */
function machineName(): string {
  try {
    return `${hostname()} ${procLink('self/ns/pid')}`
  } catch (cause) {
    // Thrown before the engine asks, because an error in a callback of the engine would end it.
    throw new TidelockError('storage_unavailable', "storage 'file' needs the name of this machine for its lock", {
      hint: 'In Deno, allow it: --allow-read --allow-write --allow-sys=hostname',
      cause,
    })
  }
}

/** Throws ELOOP for symbolic links and special files. */
function mustBePlain(path: string, about: fs.Kind): void {
  if (!about.isFile() && !about.isDirectory()) throw notPlain(path)
}

function notPlain(path: string): Error {
  return Object.assign(new Error(`${path} is a link or a special file`), { code: 'ELOOP', path })
}

function procText(name: string): string | undefined {
  try {
    return fs.readFileSync(`/proc/${name}`, 'utf8').trim()
  } catch {
    return undefined
  }
}

function procLink(name: string): string {
  try {
    return fs.readlinkSync(`/proc/${name}`)
  } catch {
    return ''
  }
}

/** Returns whether a process exists. One of another user exists even though it can't be signalled. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return !hasCode(error, 'ESRCH')
  }
}

function hasCode(error: unknown, code: string): boolean {
  return (error as { code?: unknown } | null)?.code === code
}
