import type { Database } from '../api/database.js'
import { reading } from '../base/check.js'
import { type ErrorCode, isTidelockError, TidelockError, unsupported } from '../base/errors.js'
import { hasIndexedDb, listIndexedDb } from '../base/indexeddb.js'
import { isNode, mayHoldSecrets } from '../base/is-node.js'
import { loaded } from '../base/lazy-module.js'
import { isPrivate } from '../base/private-folders.js'
import { prefix } from '../base/stored-name.js'
import { until } from '../base/waiting.js'
import type { CoreOptions } from '../engine/core-options.js'
import { encryptionChecks } from '../files/load-encryption-checks.js'
import type { FunctionsSource } from '../functions/functions.js'
import { Bridge, openHere } from '../instance/bridge.js'
import { DatabaseClient, loadTimetable } from '../instance/database-client.js'
import { beginToLoad, startInstance } from '../instance/instance.js'
import { checkOptions, type OpenEnvironment } from '../options/check-options.js'
import { onServer } from '../options/check-storage.js'
import { lazyOptions } from '../options/load-lazy-options.js'
import type { OpenOptions } from '../options/options.js'
import type { ResolvedOptions } from '../options/resolve-remote.js'
import type { OpenRequest } from '../rpc/protocol.js'
import { filesOf, isDedicatedWorker } from './files-of.js'
import { withHolder } from './in-use.js'
import { openInPage } from './page-engines.js'

/**
 * Opens a database: takes its lock, loads its data, recovers it after a crash, and runs pending migrations.
 *
 * Rejects with `invalid_argument` (a wrong option), `unsupported_environment` (a feature that the browser or this build lacks),
 * `storage_unavailable`, `wasm_load_failed`, `database_in_use` (`details.holder` is the holder of the lock), `lock_timeout`,
 * `database_corrupt`, `decryption_failed` (a wrong or missing passphrase or key), `sync_unauthorized` (`remote.perUser` while no user is
 * signed in), and with the codes of migrations. On any rejection the lock is released.
 *
 * @example
 * ```ts
 * const migrations = migrationsFrom(import.meta.glob('./migrations/*.sql', { query: '?raw', import: 'default', eager: true }))
 * const db = await open({ name: 'shop', migrations })
 * await db.run('INSERT INTO products(name, price) VALUES (?, ?)', ['tea', '4.50'])
 * ```
 */
export async function open(options: OpenOptions): Promise<Database> {
  try {
    return await openOnce(options)
  } catch (error) {
    const isElsewhere = isTidelockError(error, 'invalid_argument') && error.details.option === 'storage'
    if (!isElsewhere || options?.storage !== 'best') throw error
    // It was moved while this call waited for it.
    return openOnce(options)
  }
}

async function openOnce(options: OpenOptions): Promise<Database> {
  const prepared = await prepare(options)
  const { checked } = prepared
  // A database in memory can't be found by its name: each is of the call that opened it.
  if (checked.storage === 'memory') return openAlone(prepared)
  try {
    return await openInPage(checked, prepared.options, (signal) => begin(prepared, signal))
  } catch (error) {
    // The holder may have made it meanwhile in another storage.
    if (isTidelockError(error, 'database_in_use')) await otherStorage(checked)
    throw withHolder(error, checked)
  }
}

async function openAlone(prepared: Prepared): Promise<Database> {
  const { signal } = prepared.options
  const { client, opened } = begin(prepared, signal)
  await until(opened, { signal }).catch((error) => {
    // Close the database if it opens later; the caller has its error already.
    opened.then(() => client.close()).catch(() => {})
    throw error
  })
  return client.attach()
}

type Prepared = Awaited<ReturnType<typeof prepare>>

/** What an opening needs, checked. */
async function prepare(given: OpenOptions) {
  const environment = openEnvironment()
  const { watchUser, owner, ...named } = await resolved(given)
  const options = await placed(named.options)
  const common = checkOptions(options, environment)
  options.signal?.throwIfAborted()
  requireStorage(common.storage, options.thread)
  const elsewhere = otherStorage(common)
  // Awaited later, beside what is loaded.
  elsewhere.catch(() => {})
  if (options.dev === true) (await development()).checkDevelopment()
  beginToLoad(options)
  const [rare] = await Promise.all([checkRare(options, environment), checkEncrypted(options)])
  const checked = { ...common, ...rare, ...(rare.remote && owner ? { remote: { ...rare.remote, owner } } : {}) }
  const functions = await checkedFunctions(options)
  const timetable = await loadTimetable(options)
  const opening = { encryption: options.encryption, functions, columnKeys: await checkedColumnKeys(options) }
  await elsewhere
  return { options, checked, timetable, opening, watchUser }
}

function begin({ checked, timetable, opening, watchUser, ...prepared }: Prepared, signal: AbortSignal | undefined) {
  const options = { ...prepared.options, signal }
  const openScratch = async (scratch: OpenOptions) => openAlone(await prepare(scratch))
  const client = new DatabaseClient(options, timetable, openScratch, watchUser)
  const attempt = () => openFor(client, checked, options, opening)
  const openOrReset = () =>
    attempt().catch(async (error) => {
      if (!isTidelockError(error) || !misfits.includes(error.code)) throw error
      const { afterMisfit } = await development().catch(() => {
        throw error
      })
      return afterMisfit(error, options, client, openScratch, attempt)
    })
  const mayReset = options.dev === true && options.tabs === 'shared'
  const opened = mayReset
    ? development().then(({ oneTabAtATime }) => oneTabAtATime(options, openOrReset))
    : openOrReset()
  return { client, opened }
}

/** The codes of a database that doesn't fit the migrations. */
const misfits: readonly ErrorCode[] = [
  'migration_checksum_mismatch',
  'migration_missing',
  'migration_out_of_order',
  'schema_too_new',
]

/** Loads what only development needs. */
function development() {
  return loaded('dev', import('./development.js'))
}

/** Opens the database where the options say: in this thread, in a worker, or in the leader tab. */
async function openFor(
  client: DatabaseClient,
  checked: CoreOptions,
  options: OpenOptions,
  opening: Pick<OpenRequest, 'encryption' | 'functions' | 'columnKeys'>,
): Promise<void> {
  const { signal, wasm } = options
  if (options.tabs === 'shared') {
    const { openShared } = await loaded("tabs 'shared'", import('./open-shared.js'))
    return openShared(checked, options, client, opening)
  }
  if (options.thread === 'worker') {
    const { openInWorker } = await loaded("thread 'worker'", import('../worker/open-in-worker.js'))
    return openInWorker(checked, options, client, opening)
  }
  const bridge = new Bridge(checked, { ...opening, signal }, client)
  const instance = await startInstance(wasm, (trap) => bridge.trapped(trap), signal)
  return openHere(bridge, checked, client, instance, await filesOf(checked, options))
}

/** Rejects when the database is in the browser's other storage: here, it would be opened as a new one. */
async function otherStorage({ name, storage }: Pick<CoreOptions, 'name' | 'storage'>): Promise<void> {
  if (storage !== 'indexeddb' && storage !== 'opfs') return
  if (!(await (storage === 'opfs' ? mayBeInIndexedDb(name) : isPrivate(name)))) return
  const { requireHere } = await places()
  await requireHere(name, storage)
}

async function mayBeInIndexedDb(name: string): Promise<boolean> {
  if (!hasIndexedDb()) return false
  const all = await listIndexedDb().catch(() => undefined)
  return all?.some((database) => database.name === prefix + name) ?? true
}

/** Decides `storage: 'best'`. */
async function placed(options: OpenOptions): Promise<OpenOptions> {
  if (reading('storage', () => options?.storage) !== 'best') return options
  const { bestStorage } = await places()
  return { ...options, storage: await bestStorage(options) }
}

/** Loads what is needed where two storages may have a database. */
function places() {
  return loaded('storage', import('./location.js'))
}

/** Resolves a client of the remote, and the user's own database, in a module that is loaded only for them. */
async function resolved(options: OpenOptions): Promise<ResolvedOptions> {
  const remote = reading('remote', () => {
    const given = options?.remote
    return given?.client === undefined && given?.perUser === undefined ? undefined : given
  })
  if (remote === undefined) return { options }
  const { resolveRemote } = await lazyOptions()
  return resolveRemote({ ...options, remote })
}

/** Checks rarely used options, in a module that is loaded only for them. */
async function checkRare(
  options: OpenOptions,
  { secrets }: OpenEnvironment,
): Promise<Pick<CoreOptions, 'remote' | 'audit' | 'expires'>> {
  if (options.remote === undefined && options.audit === undefined && options.expires === undefined) return {}
  const { checkLazyOptions } = await lazyOptions()
  return checkLazyOptions(options, secrets)
}

/** Checks the option `encryption`, in a module that is loaded only for it. */
export async function checkEncrypted({ encryption, snapshots }: OpenOptions): Promise<void> {
  if (encryption === undefined) return
  const { checkEncryption, checkFileEncryption } = await encryptionChecks()
  checkEncryption(encryption)
  // What is encrypted here must not lie about in the open elsewhere.
  if (snapshots !== false && snapshots?.targets?.some(({ encrypt }) => encrypt === undefined))
    checkFileEncryption('The encryption of files for targets', encryption)
}

/** Checks the option `functions`. */
export async function checkedFunctions({ functions, thread }: OpenOptions): Promise<FunctionsSource | undefined> {
  if (functions === undefined) return undefined
  const { checkFunctions } = await loaded('functions', import('../functions/functions.js'))
  return reading('functions', () => checkFunctions(functions, thread ?? 'current'))
}

/** Checks the option `columnKey` and returns its keys, 32 bytes each. */
export async function checkedColumnKeys({
  columnKey,
}: Pick<OpenOptions, 'columnKey'>): Promise<readonly Uint8Array[] | undefined> {
  if (columnKey === undefined) return undefined
  const { columnKeys } = await loaded('columnKey', import('../functions/column-key.js'))
  return columnKeys(columnKey)
}

/** Returns the title, the URL and the kind of the environment. */
export function openEnvironment(): OpenEnvironment {
  return {
    title: typeof document === 'undefined' ? programName() : document.title,
    // Without query and fragment, where sign-in flows leave codes and tokens.
    url: typeof location === 'undefined' ? '' : location.href.replace(/[?#].*$/s, ''),
    server: isServer(),
    secrets: mayHoldSecrets(),
  }
}

/** Returns whether this is a server: neither a page nor a worker, and without IndexedDB. */
function isServer(): boolean {
  const { window, WorkerGlobalScope } = globalThis as { window?: unknown; WorkerGlobalScope?: unknown }
  return window === undefined && WorkerGlobalScope === undefined && !hasIndexedDb()
}

/** Returns the script that Node was started with, which stands in for a page's title. */
function programName(): string {
  const { process } = globalThis as { process?: { argv?: readonly string[] } }
  return process?.argv?.[1] ?? ''
}

/** Throws when the storage in the options is missing here: there is no silent fallback. */
export function requireStorage(storage: CoreOptions['storage'], thread?: OpenOptions['thread']): void {
  if (typeof WebAssembly !== 'object') {
    const hint = 'Use a browser that has it, in a mode that allows it'
    throw unsupported('WebAssembly', 'WebAssembly is missing here', hint)
  }
  if (storage === 'memory') return
  if (storage === 'file') {
    if (!isNode())
      throw new TidelockError('storage_unavailable', "storage 'file' is for Node: there are no files here", {
        hint: "Leave storage out, for 'indexeddb'",
      })
    // Deno and Bun have Workers.
    if (thread === 'worker')
      throw new TidelockError('unsupported_environment', "storage 'file' needs the thread that calls open", {
        details: { option: 'thread' },
        hint: "Leave thread out, for 'current'",
      })
    return
  }
  if (isServer()) throw onServer()
  if (storage === 'opfs') requirePrivateFiles()
  else if (!hasIndexedDb()) {
    throw new TidelockError('storage_unavailable', 'IndexedDB is missing here', {
      hint: "storage: 'memory' works everywhere, but stores nothing",
    })
  }
  if (typeof navigator === 'undefined' || navigator.locks === undefined) {
    const hint = 'Browsers have them on secure pages only: serve the page by https, or from localhost'
    throw unsupported('navigator.locks', 'Web Locks (navigator.locks) are missing here', hint)
  }
}

/** Throws when the browser's private file system can't be used here. */
function requirePrivateFiles(): void {
  if (typeof navigator === 'undefined' || typeof navigator.storage?.getDirectory !== 'function')
    throw new TidelockError('storage_unavailable', "The browser's private file system (OPFS) is missing here", {
      hint: "Leave storage out, for 'indexeddb'; browsers have OPFS on secure pages only",
    })
  if (!isDedicatedWorker() && typeof Worker !== 'function')
    throw unsupported(
      'Worker',
      "storage 'opfs' needs a Worker, which is missing here",
      "Leave storage out, for 'indexeddb'",
    )
}
