import { type Database, TidelockError } from '../../index.js'
import {
  type EndInterception,
  interceptFolder,
  interceptIndexedDb,
  nodeProcess,
  type Refuse,
  releaseFolder,
} from './storage-fault.js'

/** Where a stored database is. */
export interface FaultOptions {
  /**
   * In Node, the option `path` as it was given to `open`.
   * @default `./<name>.tidelock`
   */
  readonly path?: string | undefined
}

/** Options of {@link failNextFlush}. */
export interface FlushFaultOptions extends FaultOptions {
  /**
   * How many flushes fail; `Infinity`: until `remove()`. tidelock tries a flush again after 100 ms, on a full disk at once if it could free
   * space; after three failures it refuses writes.
   * @default 1
   */
  readonly times?: number | undefined
}

/** Flushes that fail, until `remove()`. */
export interface FlushFault {
  /** How many flushes have failed. */
  readonly met: number
  /** The storage works again. */
  remove(): void
}

/** What the storage throws for each code. */
const failures = {
  storage_quota_exceeded: { name: 'QuotaExceededError', code: 'ENOSPC' },
  storage_unavailable: { name: 'UnknownError', code: 'EIO' },
} as const

/**
 * Makes the next flush of a database fail, as a full disk (`storage_quota_exceeded`) or a broken one (`storage_unavailable`) does. The fault
 * is below the engine, in IndexedDB or in Node's `fs`; what follows is tidelock's own work: the write rejects with that code and
 * `details.applied: true`, and is stored by a later try.
 *
 * Rejects with `closed` for a closed database, with `invalid_argument` for another code and, in Node, where the folder has no database, and
 * with `unsupported_environment` where the storage can't be reached: in memory, `opfs`, an engine in a worker or another tab, Node before
 * 20.16.
 *
 * @example
 * ```ts
 * const fault = await failNextFlush(db, 'storage_quota_exceeded', { times: Infinity })
 * await expect(save(db)).rejects.toMatchObject({ code: 'storage_quota_exceeded' })
 * fault.remove()
 * await db.flush()
 * ```
 */
export async function failNextFlush(
  db: Database,
  code: 'storage_quota_exceeded' | 'storage_unavailable',
  { times = 1, path }: FlushFaultOptions = {},
): Promise<FlushFault> {
  const failure = failures[code]
  if (failure === undefined) {
    throw new TidelockError('invalid_argument', `A flush can't fail with ${String(code)}`, {
      hint: `Use one of ${Object.keys(failures).join(', ')}`,
    })
  }
  let met = 0
  const end = await intercept(db, path, (operation) => {
    if (operation !== 'flush' || met >= times) return undefined
    met++
    return failure
  })
  return {
    get met() {
      return met
    },
    remove: end,
  }
}

/**
 * Ends a database as the death of its tab or process does: from now on nothing more is stored, and the lock is released. `db` is closed
 * then. Open it again, and look at what was stored. What was on its way to the disk may be stored, as in a real crash. It waits for the
 * functions of transactions; what they commit isn't stored any more.
 *
 * Rejects as {@link failNextFlush} does, and with `invalid_argument` when another `open` of the same page still has the database.
 *
 * @example
 * ```ts
 * const db = await open({ ...options, durability: 'snapshot' })
 * await db.run('INSERT INTO notes (body) VALUES (?)', ['not stored yet'])
 * await crash(db)
 * const again = await open(options)
 * ```
 */
export async function crash(db: Database, { path }: FaultOptions = {}): Promise<void> {
  let released = false
  const end = await intercept(db, path, (operation) => {
    released ||= operation === 'release'
    return failures.storage_unavailable
  })
  try {
    // It fails to store what is left, which is the point.
    await db.close().catch(() => {})
    if (isNode() ? !released : (await holderOf(db.name)) !== undefined) throw openTwice(db.name)
  } finally {
    end()
  }
  if (isNode()) releaseFolder(path ?? folderOf(db.name))
}

/**
 * Takes the lock from a database, as another tab does with `lock: { onBusy: 'steal' }`. The database can't write any more: calls reject with
 * `lock_lost`, and the event `lock` reports it. Resolves when the database knows.
 *
 * Rejects with `unsupported_environment` in Node, where the lock of a living process can't be stolen, and for a database in memory, which
 * has no lock; with `closed` for a closed database.
 */
export async function stealLock(db: Database): Promise<void> {
  checkOpen(db)
  if (isNode()) {
    throw new TidelockError('unsupported_environment', "The lock of a folder can't be stolen while its process lives", {
      hint: 'Test stolen locks in a browser',
    })
  }
  if ((await holderOf(db.name)) === undefined) throw unreachable()
  const lost = new Promise<void>((resolve) => {
    // A shared tab becomes a follower instead.
    for (const type of ['lock', 'role', 'close'] as const) db.addEventListener(type, () => resolve(), { once: true })
  })
  await navigator.locks.request(lockName(db.name), { steal: true }, () => undefined)
  await lost
}

const isNode = () => nodeProcess()?.getBuiltinModule !== undefined
const lockName = (name: string) => `tidelock/${name}`
const folderOf = (name: string) => `./${name}.tidelock`

function checkOpen(db: Database): void {
  if (typeof db?.live !== 'function') {
    throw new TidelockError('invalid_argument', 'The first argument must be an open database', {
      hint: 'Pass what open() returned',
    })
  }
  if (db.closed) throw new TidelockError('closed', 'The database is closed', { hint: 'Pass an open database' })
}

/** Begins at once in Node, and in a page when the lock was looked up. Neither waits for calls of the database. */
async function intercept(db: Database, path: string | undefined, refuse: Refuse): Promise<EndInterception> {
  checkOpen(db)
  if (isNode()) return interceptFolder(path ?? folderOf(db.name), refuse)
  if (!(await isHeldHere(db.name))) throw unreachable()
  return interceptIndexedDb(db.name, refuse)
}

/** Returns whether this thread of this page has the lock of the database. */
async function isHeldHere(name: string): Promise<boolean> {
  const probe = `tidelock.testing/${crypto.randomUUID()}`
  const mine = await navigator.locks.request(probe, () => clientOf(probe))
  return mine !== undefined && mine === (await holderOf(name))
}

const holderOf = (name: string) => clientOf(lockName(name))

/** Returns the id of the page or worker that holds a lock. */
async function clientOf(lock: string): Promise<string | undefined> {
  const { held = [] } = await navigator.locks.query()
  return held.find(({ name }) => name === lock)?.clientId
}

function openTwice(name: string): TidelockError {
  return new TidelockError('invalid_argument', `Another open() of this page still has the database "${name}"`, {
    hint: 'Close all others first: they share one engine',
  })
}

function unreachable(): TidelockError {
  return new TidelockError('unsupported_environment', "The storage of this database can't be reached from this page", {
    hint: "For this test, open the database with storage: 'indexeddb', thread: 'current' and tabs: 'exclusive'",
  })
}
