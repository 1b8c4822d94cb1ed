import { checkOptionsOf } from '../base/check.js'
import { isTidelockError } from '../base/errors.js'
import { hasIndexedDb, resultOf } from '../base/indexeddb.js'
import { isNode } from '../base/is-node.js'
import { loadModule } from '../instance/instance.js'
import { lazyOptions } from '../options/load-lazy-options.js'
import type { WasmSource } from '../options/options.js'
import type { RemoteEndpoint, RemoteOptions } from '../remote/remote-options.js'
import { getRest, tokenOf } from '../remote/rest.js'
import { claimsOf } from '../remote/secrets.js'
import { type Finding, remoteName, TableProbes } from './doctor-tables.js'
import { isDedicatedWorker } from './files-of.js'

/** One thing that {@link doctor} looked at. */
export interface Check {
  /** What: `indexeddb`, `web-locks`, `remote`, `table orders` and the like. */
  readonly name: string
  /** Whether it found no problem. */
  readonly ok: boolean
  /** What was seen. */
  readonly message: string
  /** What to do about it; null when there is nothing to do. */
  readonly hint: string | null
}

/** The result of {@link doctor}. */
export interface DoctorReport {
  /** Whether every check found no problem. */
  readonly ok: boolean
  /** The checks, in their order. */
  readonly checks: readonly Check[]
}

/** The options of {@link doctor}. */
export interface DoctorOptions {
  /** Looks at the remote and each of its tables, too. */
  readonly remote?: RemoteOptions | undefined
  /** As for {@link open}. */
  readonly wasm?: WasmSource | undefined
}

/**
 * Checks whether this browser (or Node) has the features that tidelock needs, and whether a remote responds as expected. Call it when
 * something doesn't work, and include the result in a bug report. It leaves no data behind. Problems are part of the result; rejects only
 * with `invalid_argument`, for wrong options.
 *
 * @example
 * ```ts
 * const { ok, checks } = await doctor({ remote })
 * if (!ok) console.table(checks.filter((check) => !check.ok))
 * ```
 */
export async function doctor(options?: DoctorOptions): Promise<DoctorReport> {
  const { remote, wasm } = checkOptionsOf('doctor', options, ['remote', 'wasm']) as DoctorOptions
  const probes = [...local(wasm), ...(remote === undefined ? [] : remoteProbes(await checkedEndpoint(remote)))]
  const checks = await Promise.all(probes.map(([name, probe]) => run(name, probe)))
  return { ok: checks.every((check) => check.ok), checks }
}

async function checkedEndpoint(remote: RemoteOptions): Promise<RemoteEndpoint> {
  const { checkRemote, resolveClient } = await lazyOptions()
  const { watchUser: _, ...endpoint } = resolveClient(remote)
  checkRemote(endpoint, true)
  return endpoint
}

type Probe = readonly [name: string, probe: () => Promise<Finding> | Finding]

async function run(name: string, probe: Probe[1]): Promise<Check> {
  try {
    const { message, ok = true, hint = null } = await probe()
    return { name, ok, message, hint }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    return { name, ok: false, message, hint: (isTidelockError(error) && error.hint) || null }
  }
}

const missing = (what: string, hint: string): Finding => ({ ok: false, message: `${what} is missing here`, hint })
const secure = 'Browsers have it on secure pages only: serve the page by https, or from localhost'

function local(wasm: WasmSource | undefined): Probe[] {
  const loads: Probe = [
    'wasm',
    async () => {
      if (typeof WebAssembly !== 'object')
        return missing('WebAssembly', 'Use a newer browser; some browsers disable it in a strict mode')
      await loadModule(wasm)
      return { message: 'The wasm module loads' }
    },
  ]
  if (!hasIndexedDb() && isNode())
    return [loads, ['storage', () => ({ message: 'Databases are stored in folders here' })]]
  return [
    loads,
    ['indexeddb', indexedDb],
    ['web-locks', webLocks],
    ['opfs', privateFiles],
    ['storage', quotaUsage],
    ['persistence', persistence],
    [
      'worker',
      () =>
        typeof Worker === 'function'
          ? { message: "thread: 'worker' can be used" }
          : { message: 'Workers are missing here', hint: "Leave thread at 'current'" },
    ],
    [
      'crypto',
      () =>
        globalThis.crypto?.subtle === undefined
          ? missing('WebCrypto (crypto.subtle), which encryption needs,', secure)
          : { message: 'encryption can be used' },
    ],
    [
      'compression',
      () =>
        typeof CompressionStream === 'function'
          ? { message: 'Snapshots can be compressed' }
          : { message: 'CompressionStream is missing here', hint: 'Snapshots are stored uncompressed' },
    ],
  ]
}

/** Returns a unique name, so that concurrent runs don't collide. */
const scratchName = () => `tidelock-doctor-${Date.now()}-${Math.random().toString(36).slice(2)}`

/** No browser needs it: only `storage: 'opfs'` does. */
async function privateFiles(): Promise<Finding> {
  const hint = "Leave storage at 'indexeddb'"
  if (typeof navigator.storage?.getDirectory !== 'function')
    return { message: "The private file system (OPFS) is missing here: storage 'opfs' can't be used", hint }
  try {
    await navigator.storage.getDirectory()
    if (!isDedicatedWorker() && typeof Worker !== 'function')
      return { message: "Workers are missing here: storage 'opfs' can't be used", hint }
    return { message: "storage: 'opfs' can be used" }
  } catch (error) {
    return { message: `The browser refuses its private file system (OPFS): ${String(error)}`, hint }
  }
}

/** Writes, reads and deletes: in some browsers opening works and writing fails. */
async function indexedDb(): Promise<Finding> {
  if (!hasIndexedDb())
    return missing('IndexedDB', 'Some browsers have none in private windows; check the settings for site data')
  const name = scratchName()
  const opening = indexedDB.open(name)
  opening.onupgradeneeded = () => opening.result.createObjectStore('probe')
  const database = await resultOf(opening)
  try {
    const store = database.transaction('probe', 'readwrite').objectStore('probe')
    await resultOf(store.put(new Uint8Array(4096), 'page'))
    const read = await resultOf<Uint8Array>(store.get('page'))
    return read.length === 4096
      ? { message: 'IndexedDB writes and reads' }
      : { ok: false, message: 'IndexedDB returned other bytes than were written' }
  } finally {
    database.close()
    await resultOf(indexedDB.deleteDatabase(name))
  }
}

async function webLocks(): Promise<Finding> {
  if (typeof navigator === 'undefined' || navigator.locks === undefined) return missing('navigator.locks', secure)
  const got = await navigator.locks.request(scratchName(), { ifAvailable: true }, (lock) => lock !== null)
  return got ? { message: 'Locks between tabs work' } : { ok: false, message: 'A free lock was not granted' }
}

async function quotaUsage(): Promise<Finding> {
  const { usage = 0, quota = 0 } = (await navigator.storage?.estimate?.()) ?? {}
  if (quota === 0) return { message: 'The browser does not report its storage quota' }
  const percent = Math.round((100 * usage) / quota)
  const message = `${megabytes(usage)} MB of ${megabytes(quota)} MB are in use (${percent} %)`
  return percent < 80
    ? { message }
    : { ok: false, message, hint: 'Free space on the disk, or delete databases and snapshots of this site' }
}

function megabytes(bytes: number): string {
  return Math.round(bytes / 1e6).toLocaleString('en-US')
}

async function persistence(): Promise<Finding> {
  return (await navigator.storage?.persisted?.())
    ? { message: 'The browser keeps the data of this site' }
    : {
        message: 'The browser may evict the data of this site when space is short',
        hint: 'Call db.persist() after a click',
      }
}

function remoteProbes(remote: RemoteEndpoint): Probe[] {
  const tables = new TableProbes(remote)
  return [
    ['remote', () => checkReachable(remote)],
    ['token', () => checkToken(remote)],
    ...remote.tables.map((given): Probe => {
      const table = typeof given === 'string' ? { table: given } : given
      return [`table ${table.table}`, () => tables.probe(table)]
    }),
  ]
}

/** Reads a table, because publishable keys may not read the root. Any response shows that there is a server; a 401 is about the key. */
async function checkReachable(remote: RemoteEndpoint): Promise<Finding> {
  const [first] = remote.tables
  const table = first === undefined ? '' : remoteName(typeof first === 'string' ? { table: first } : first)
  const response = await getRest(remote, table === '' ? '' : `${encodeURIComponent(table)}?limit=0`)
  const { message = '' } = response.said()
  if (response.status === 401 && /api key/i.test(message))
    return { ok: false, message: `The remote refuses the key: ${message}`, hint: 'Use the key of this project' }
  if (response.status >= 500)
    return { ok: false, message: `The remote answers with status ${response.status}: ${message}` }
  return { message: 'The remote answers, and accepts the key' }
}

async function checkToken(remote: RemoteEndpoint): Promise<Finding> {
  const text = await tokenOf(remote)
  if (text === undefined) return { message: 'No user is signed in: requests have the key only' }
  const claims = claimsOf(text)
  if (claims === undefined)
    return { ok: false, message: 'The access token is not a JWT', hint: "Return the session's access_token" }
  const left = Math.round((claims.exp ?? Number.POSITIVE_INFINITY) - Date.now() / 1000)
  return left < 0
    ? { ok: false, message: `The access token expired ${-left} s ago`, hint: 'Return a fresh token from accessToken' }
    : { message: 'The access token is valid' }
}
