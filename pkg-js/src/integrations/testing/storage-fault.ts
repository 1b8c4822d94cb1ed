import { TidelockError } from '../../index.js'

/** What a database does to its storage: adds to the log, releases the lock of its folder, or writes anything else. */
export type Operation = 'flush' | 'release' | 'write'

/** A failure of the storage, as browsers name it and as Node does. */
export interface Failure {
  readonly name: string
  readonly code: string
}

/** Returns how an operation of the storage fails; undefined: it doesn't. */
export type Refuse = (operation: Operation) => Failure | undefined

const message = 'a fault of tidelock/testing'

/** Ends the interception. */
export type EndInterception = () => void

/** The part of Node's `fs` that a database writes with. */
interface FileSystem {
  openSync(path: string, flags: unknown, mode?: unknown): number
  closeSync(file: number): void
  fstatSync(file: number): { ino: number; dev: number }
  statSync(path: string): { ino: number; dev: number }
  readdirSync(path: string): string[]
  readFileSync(path: string, encoding: 'utf8'): string
  existsSync(path: string): boolean
  writeSync(file: number, ...rest: unknown[]): number
  fsyncSync(file: number): void
  ftruncateSync(file: number, bytes?: number): void
  truncateSync(path: string, bytes?: number): void
  renameSync(from: string, to: string): void
  linkSync(from: string, to: string): void
  rmSync(path: string, options?: object): void
}

interface NodeProcess {
  readonly pid: number
  getBuiltinModule?<Module>(name: string): Module
}

/** Returns Node's process; undefined in pages. */
export function nodeProcess(): NodeProcess | undefined {
  return (globalThis as { process?: NodeProcess }).process
}

function builtin<Module>(name: string): Module {
  const module = nodeProcess()?.getBuiltinModule?.<Module>(name)
  if (module !== undefined) return module
  throw new TidelockError('unsupported_environment', 'Faults of folders need Node 20.16, 22.3 or later', {
    hint: 'Run these tests in Node, or in a browser with storage: indexeddb',
  })
}

/**
 * Intercepts what Node writes to the database in a folder, below the engine: in `fs`. Throws `invalid_argument` for a folder without a
 * database.
 */
export function interceptFolder(folder: string, refuse: Refuse): EndInterception {
  const fs = builtin<FileSystem>('node:fs')
  const { syncBuiltinESMExports } = builtin<{ syncBuiltinESMExports(): void }>('node:module')
  const path = builtin<{ resolve(path: string): string; sep: string }>('node:path')
  const root = path.resolve(folder)
  if (!fs.existsSync(root) || !fs.readdirSync(root).some((name) => /^journal\.\d+$/.test(name))) throw noDatabase(root)
  const original = { ...fs }
  /** Returns the name of an open file in the folder; undefined for other files. */
  const nameOf = (file: number) => {
    const { ino, dev } = original.fstatSync(file)
    return original.readdirSync(root).find((name) => {
      const about = original.statSync(root + path.sep + name)
      return about.ino === ino && about.dev === dev
    })
  }
  const check = (operation: Operation) => {
    const failure = refuse(operation)
    if (failure !== undefined) throw Object.assign(new Error(`${failure.code}: ${message}`), { code: failure.code })
  }
  const checkFile = (file: number, writes: boolean) => {
    const name = nameOf(file)
    if (name === undefined) return
    if (name.startsWith('journal.') && writes) check('flush')
    else check(name.startsWith('lock.') ? 'release' : 'write')
  }
  const checkPath = (named: string) => {
    if (path.resolve(named).startsWith(root + path.sep)) check('write')
  }
  Object.assign(fs, {
    writeSync(file: number, ...rest: unknown[]) {
      checkFile(file, true)
      return original.writeSync(file, ...rest)
    },
    fsyncSync(file: number) {
      checkFile(file, false)
      original.fsyncSync(file)
    },
    ftruncateSync(file: number, bytes?: number) {
      checkFile(file, false)
      original.ftruncateSync(file, bytes)
    },
    renameSync(from: string, to: string) {
      checkPath(to)
      original.renameSync(from, to)
    },
    linkSync(from: string, to: string) {
      checkPath(to)
      original.linkSync(from, to)
    },
    rmSync(name: string, options?: object) {
      checkPath(name)
      original.rmSync(name, options)
    },
  } satisfies Partial<FileSystem>)
  // The package imported these functions by name: their bindings follow.
  syncBuiltinESMExports()
  return () => {
    const { writeSync, fsyncSync, ftruncateSync, renameSync, linkSync, rmSync } = original
    Object.assign(fs, { writeSync, fsyncSync, ftruncateSync, renameSync, linkSync, rmSync })
    syncBuiltinESMExports()
  }
}

/** Releases the lock file of this process, as the end of the process does. */
export function releaseFolder(folder: string): void {
  const fs = builtin<FileSystem>('node:fs')
  for (const name of fs.readdirSync(folder).filter((name) => /^lock\.\d+$/.test(name))) {
    if (fs.readFileSync(`${folder}/${name}`, 'utf8').includes(`\npid ${nodeProcess()?.pid}\n`)) {
      fs.truncateSync(`${folder}/${name}`, 0)
    }
  }
}

/** Intercepts what a page writes to a database, below the engine: in IndexedDB. */
export function interceptIndexedDb(name: string, refuse: Refuse): EndInterception {
  const isOurs = (database: IDBDatabase) => database.name === `tidelock/${name}`
  const check = (concerned: boolean, operation: Operation) => {
    const failure = concerned ? refuse(operation) : undefined
    if (failure !== undefined) throw new DOMException(message, failure.name)
  }
  const { transaction } = IDBDatabase.prototype
  const { add } = IDBObjectStore.prototype
  IDBDatabase.prototype.transaction = function (this: IDBDatabase, stores, mode, options) {
    check(mode === 'readwrite' && isOurs(this), 'write')
    return transaction.call(this, stores, mode, options)
  }
  // The log, to which flushes add, is written with `add` only.
  IDBObjectStore.prototype.add = function (this: IDBObjectStore, value, key) {
    check(this.name === 'log' && isOurs(this.transaction.db), 'flush')
    return add.call(this, value, key)
  }
  return () => {
    IDBDatabase.prototype.transaction = transaction
    IDBObjectStore.prototype.add = add
  }
}

function noDatabase(folder: string): TidelockError {
  return new TidelockError('invalid_argument', `There is no database in ${folder}`, {
    hint: 'Give the option path as it was given to open',
    details: { path: folder },
  })
}
