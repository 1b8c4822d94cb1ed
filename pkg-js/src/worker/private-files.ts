import { turnDue } from '../base/event-loop.js'
import { foundInIndexedDb, isMoving } from '../base/found-data.js'
import { aboutFile, folderName, privateFolder, shownOf, unlessMissing } from '../base/private-folders.js'
import type { CoreFiles } from '../engine/core.js'

// The files of one database in the browser's private file system, for `storage: 'opfs'`. Only dedicated workers have these handles.

/** The access handle of an open file. */
interface AccessHandle {
  getSize(): number
  read(into: Uint8Array, options: { readonly at: number }): number
  write(bytes: Uint8Array, options: { readonly at: number }): number
  truncate(bytes: number): void
  flush(): void
  close(): void
}

/** How many of the newest segments of a journal are opened with the folder. */
const firstSegments = 4

/** Returns the files, of all in a folder, that are opened only when they are prepared: see `opens_later` in src/store/folder/mod.rs. */
function opensLater(names: readonly string[]): string[] {
  const number = (name: string) => BigInt(name.slice('journal.'.length))
  const segments = names.filter((name) => /^journal\.\d+$/.test(name))
  segments.sort((one, other) => (number(one) < number(other) ? -1 : 1))
  return segments.slice(0, -firstSegments)
}

/** The files of one database. */
export class PrivateFiles implements CoreFiles {
  readonly isPrivate = true
  readonly #database: string
  readonly #waitMs: number
  readonly #moving: boolean
  readonly #open = new Map<string, AccessHandle>()
  /** The files that exist, and are opened when they are prepared. */
  #later = new Set<string>()
  /** The files that were open, which a new connection opens again. */
  readonly #reopened = new Set<string>()
  /** Undefined until the folder was looked for, or made. */
  #folder: FileSystemDirectoryHandle | undefined
  #connected = false
  /** How often the files were closed. */
  #closings = 0
  /** The opening of all files that is under way. */
  #connecting: Promise<number> | undefined
  /** Whether the browser has removed the open files, as it does when the user clears the data of the site. */
  #lost = false
  /** The removals under way. */
  #removed: Promise<unknown> = Promise.resolve()

  /**
   * `waitMs`: how long to wait for a file that another worker has open. `moving`: the database is moved from or to these files, so that it
   * doesn't matter what IndexedDB has of it.
   */
  constructor(
    database: string,
    { waitMs, moving }: { readonly waitMs: number; readonly moving?: boolean | undefined },
  ) {
    this.#database = database
    this.#waitMs = waitMs
    this.#moving = moving === true
  }

  async prepare(names: string[]): Promise<void> {
    const begun = this.#closings
    await this.#removed
    this.#requireOpen(begun)
    // The engine has lost its lock: it must not make other files.
    if (this.#lost) return
    const closings = this.#works() ? begun : await this.#connectOnce()
    if (names.length === 0) return
    if (this.#folder === undefined) {
      const all = (await privateFolder(true)) as FileSystemDirectoryHandle
      this.#folder = await all.getDirectoryHandle(folderName(this.#database), { create: true })
    }
    await this.#openFiles(this.#folder, [...names, aboutFile], closings)
    for (const name of names) this.#later.delete(name)
  }

  /** Two openings side by side would each close files of the other: the first to end would list a part of them as all. */
  #connectOnce(): Promise<number> {
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = undefined
    })
    return this.#connecting
  }

  /** Opens all files of the folder. Returns how often they were closed until then. */
  async #connect(): Promise<number> {
    for (const name of this.#open.keys()) this.#reopened.add(name)
    this.close()
    const closings = this.#closings
    this.#folder = undefined
    const all = await privateFolder(false)
    this.#folder = all && (await unlessMissing(all.getDirectoryHandle(folderName(this.#database))))
    try {
      const names: string[] = []
      for await (const [name, { kind }] of this.#folder?.entries() ?? []) if (kind === 'file') names.push(name)
      // An opening that was aborted may have left no such file.
      const later = new Set(opensLater(names).filter((name) => !this.#reopened.has(name)))
      const first = names.filter((name) => !later.has(name))
      if (names.length > 0) await this.#openFiles(this.#folder, new Set([...first, aboutFile]), closings)
      this.#later = later
    } catch (error) {
      if ((error as Error).name !== 'NotFoundError' || this.#moving) throw error
      // A move whose lock was stolen may remove them meanwhile.
      this.close()
      await this.#checkPlace()
      throw error
    }
    if (!this.#moving) await this.#checkPlace()
    this.#requireOpen(closings)
    this.#connected = true
    return closings
  }

  /** Rejects when IndexedDB has the database: these files would be another one, or are what a move has left. */
  async #checkPlace(): Promise<void> {
    const isNew = this.#open.size === 0
    if (!isNew && !(await isMoving(this.#database))) return
    const found = await foundInIndexedDb(this.#database)
    if (found === undefined || found === 'elsewhere' || (found === 'headless' && !isNew)) return
    this.close()
    // The code is known to src/browser/files.rs.
    throw Object.assign(new Error('The database is in IndexedDB'), { code: 'ELSEWHERE' })
  }

  /** Opens files, or makes them. All at once: each takes the browser two questions of its own to answer. */
  async #openFiles(
    folder: FileSystemDirectoryHandle | undefined,
    names: Iterable<string>,
    closings: number,
  ): Promise<void> {
    // After a failure, none is opened later.
    const opened = await Promise.allSettled([...names].map((name) => this.#openFile(folder, name, closings)))
    for (const one of opened) if (one.status === 'rejected') throw one.reason
  }

  /** Rejects what was under way when the files were closed: it would leave files open that nothing closes. */
  #requireOpen(closings: number): void {
    if (this.#closings !== closings) throw new DOMException('The files were closed meanwhile', 'InvalidStateError')
  }

  /** Opens a file, or makes it. The browser may hold the handle of a worker that ended for a while. */
  async #openFile(folder: FileSystemDirectoryHandle | undefined, name: string, closings: number): Promise<void> {
    const file = (await folder?.getFileHandle(name, { create: true })) as unknown as {
      createSyncAccessHandle(): Promise<AccessHandle>
    }
    for (let waited = 0, pause = 10; ; waited += pause, pause = Math.min(2 * pause, 500)) {
      this.#requireOpen(closings)
      // Another call may open it at the same time.
      if (this.#open.has(name)) return
      try {
        const handle = await file.createSyncAccessHandle()
        if (this.#closings !== closings) handle.close()
        else this.#open.set(name, handle)
        return this.#requireOpen(closings)
      } catch (error) {
        if ((error as Error).name !== 'NoModificationAllowedError' || waited > this.#waitMs) throw error
      }
      await new Promise((resolve) => setTimeout(resolve, pause))
    }
  }

  /** Returns whether the files are open, and their handles still work. */
  #works(): boolean {
    try {
      for (const handle of this.#open.values()) handle.getSize()
      return this.#connected
    } catch {
      return false
    }
  }

  #handle(name: string): AccessHandle {
    const handle = this.#lost ? undefined : this.#open.get(name)
    if (handle === undefined) throw new DOMException(`The file ${name} isn't open`, 'InvalidStateError')
    return handle
  }

  /**
   * Resolves with whether the open files still have their names. Their handles don't show it: writing to a removed file succeeds, and Chromium
   * never ends closing it.
   */
  async look(): Promise<boolean> {
    const handle = this.#open.get(aboutFile)
    if (this.#lost || handle === undefined) return !this.#lost
    try {
      await this.#folder?.getFileHandle(aboutFile)
    } catch (error) {
      // Once it was closed here, another one may remove it.
      this.#lost = (error as Error).name === 'NotFoundError' && this.#open.get(aboutFile) === handle
    }
    return !this.#lost
  }

  /** Like a folder of Node that was removed, lost files are missing: then the engine has lost its lock. */
  list(): string[] {
    if (this.#lost) return []
    if (!this.#connected) throw new DOMException('The files are closed', 'InvalidStateError')
    return [...this.#open.keys(), ...this.#later]
  }

  size(name: string): number | undefined {
    if (this.#lost) return undefined
    return this.#later.has(name) ? this.#handle(name).getSize() : this.#open.get(name)?.getSize()
  }

  read(name: string, at: number, into: Uint8Array): number {
    return this.#handle(name).read(into, { at })
  }

  write(name: string, at: number, bytes: Uint8Array): void {
    const handle = this.#handle(name)
    for (let written = 0; written < bytes.length; ) {
      const count = handle.write(written === 0 ? bytes : bytes.subarray(written), { at: at + written })
      if (count === 0) throw new DOMException('The browser wrote no more bytes', 'QuotaExceededError')
      written += count
    }
  }

  truncate(name: string, bytes: number): void {
    this.#handle(name).truncate(bytes)
  }

  sync(name: string): void {
    this.#handle(name).flush()
  }

  remove(name: string): void {
    const [handle, folder] = [this.#open.get(name), this.#folder]
    if (!this.#later.delete(name) && handle === undefined) return
    this.#open.delete(name)
    this.#reopened.delete(name)
    const remove = async () => {
      if (!(await this.look())) return
      handle?.close()
      await folder?.removeEntry(name)
    }
    // What can't be removed now is removed by the next holder.
    this.#removed = this.#removed.then(remove).catch(() => {})
  }

  turn(): Promise<void> | undefined {
    return turnDue()
  }

  describe(info: object): void {
    try {
      const [bytes, handle] = [new TextEncoder().encode(JSON.stringify(info)), this.#handle(aboutFile)]
      const size = handle.getSize()
      handle.write(bytes, { at: 0 })
      // Truncating takes as long as the rest of a small database's opening.
      if (size > bytes.length) handle.truncate(bytes.length)
    } catch {
      // Nothing depends on it.
    }
  }

  async shown(): Promise<object | undefined> {
    return shownOf(this.#database)
  }

  close(): void {
    // Lost ones are closed by the end of this worker.
    if (!this.#lost) for (const handle of this.#open.values()) handle.close()
    this.#open.clear()
    this.#later.clear()
    this.#connected = false
    this.#closings++
  }

  abandon(): void {
    this.close()
  }
}
