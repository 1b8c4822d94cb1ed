import { createInstance, type Part, wasmUrl } from '../../generated/instance.js'
import { isA } from '../base/brand.js'
import { isTidelockError, TidelockError, toTidelockError, trapped } from '../base/errors.js'
import { listIndexedDb } from '../base/indexeddb.js'
import { isNode } from '../base/is-node.js'
import { longestLoadMs } from '../base/lazy-module.js'
import type { CoreClass } from '../engine/core.js'
import type { OpenOptions, WasmSource } from '../options/options.js'

/** One wasm instance: the memory and code of one database. */
export interface Instance {
  readonly Core: CoreClass
  readonly memory: WebAssembly.Memory
  /** Loads a part of the code. Rejects with `wasm_load_failed`. */
  loadPart(part: Part): Promise<void>
  /** Adds FTS5, once loaded, to the SQLite connection at that address. */
  addFts5(connection: number): void
}

// Compiled modules by source, shared by all databases of the page. A failed one is removed, so that the next opening tries again.
const byUrl = new Map<string, Promise<WebAssembly.Module>>()
const byObject = new WeakMap<object, Promise<WebAssembly.Module>>()

/** Compiles the module of a source, by default the package's own. Rejects with `wasm_load_failed`. */
export function loadModule(source: WasmSource | undefined): Promise<WebAssembly.Module> {
  if (isA(source, 'WebAssembly.Module')) return Promise.resolve(source)
  if (source === undefined || isA(source, 'URL')) {
    return moduleAt(source ?? wasmUrl())
  }
  return remember(byObject, source, () =>
    isA(source, 'Response') ? compileResponse(source) : WebAssembly.compile(source),
  )
}

/**
 * Starts loading the core and the parts that these options need, in parallel. Failures are ignored here: {@link loadModule} and
 * {@link loadPart} reject with them. Meanwhile the browser starts its lock manager and its IndexedDB, which answer their first question late:
 * `checkOptions` and `requireStorage` have found that they exist.
 */
export function beginToLoad(options: OpenOptions): void {
  const { wasm, storage } = options
  loadModule(wasm).catch(() => {})
  for (const part of partsOf(options)) {
    const [url] = partUrls(part, wasm)
    moduleAt(url).catch(() => {})
  }
  if (isNode() || (storage ?? 'indexeddb') !== 'indexeddb') return
  navigator.locks.query().catch(() => {})
  listIndexedDb().catch(() => {})
}

/** Returns the parts that these options need for certain. */
export function partsOf(options: OpenOptions): Part[] {
  const { migrations, remote, encryption, columnKey, storage, audit, functions, seed } = options
  const given = (...values: unknown[]) => values.some((value) => value !== undefined)
  const needed: Record<Part, boolean> = {
    migrations: given(migrations),
    tools: given(audit, functions, seed),
    sync: given(remote),
    encryption: given(encryption, columnKey),
    stores: storage === undefined ? isNode() : storage !== 'indexeddb',
    live: false,
    fts5: migrations?.some(({ up }) => typeof up === 'string' && /fts5/i.test(up)) ?? false,
  }
  return (Object.keys(needed) as Part[]).filter((part) => needed[part])
}

/**
 * Instantiates a compiled module; `partModule` returns the modules of its parts. When the instance traps, `onTrap` is called once, with the
 * error `internal`. Rejects with `wasm_load_failed` and `out_of_memory`.
 */
export async function createDatabaseInstance(
  module: WebAssembly.Module,
  partModule: (part: Part) => Promise<WebAssembly.Module>,
  onTrap: (trap: TidelockError) => void,
): Promise<Instance> {
  try {
    const { init, Core, loadPart, addFts5 } = createInstance(
      (cause, panic) => onTrap(trapped(cause, panic)),
      partModule,
    )
    const { memory } = await init(module)
    return { Core: Core as unknown as CoreClass, memory, loadPart, addFts5 }
  } catch (error) {
    throw error instanceof RangeError ? toTidelockError(error) : loadFailed(error, 'started')
  }
}

/** Instantiates the module of a source, with its parts. Rejects with `wasm_load_failed`, `out_of_memory` and the signal's reason. */
export async function startInstance(
  source: WasmSource | undefined,
  onTrap: (trap: TidelockError) => void,
  signal?: AbortSignal,
): Promise<Instance> {
  const module = await loadModule(source)
  signal?.throwIfAborted()
  return createDatabaseInstance(module, (part) => loadPart(part, module, source), onTrap)
}

/**
 * Compiles a part of the core that came from `source`. A part lies where the bundler put it, or beside the core if `source` is an address.
 * Rejects with `wasm_load_failed`.
 */
export async function loadPart(
  part: Part,
  core: WebAssembly.Module,
  source: WasmSource | undefined,
): Promise<WebAssembly.Module> {
  let failure: unknown
  for (const url of partUrls(part, source)) {
    try {
      const module = await moduleAt(url)
      if (buildOf(module) === buildOf(core)) return module
      // After a deployment, the served part can be newer than the page, and its imports don't match this core.
      throw new Error(`${url} belongs to another build than the page`)
    } catch (error) {
      failure ??= error
    }
  }
  const error = isTidelockError(failure) ? failure : loadFailed(failure, 'loaded')
  if (part === 'live') warnOfLive(error)
  throw error
}

let isWarnedOfLive = false

/** Warns the page once that live queries lack their part, which no call reports: they work without it. */
function warnOfLive({ message, hint, code }: TidelockError): void {
  if (!isWarnedOfLive)
    console.warn(`tidelock: Live queries run more often than they must: ${message}. ${hint} (${code})`)
  isWarnedOfLive = true
}

function partUrls(part: Part, source: WasmSource | undefined): [URL, ...URL[]] {
  const own = wasmUrl(part)
  const address = isA(source, 'URL') ? source.href : isA(source, 'Response') ? source.url : ''
  if (address === '') return [own]
  const beside = new URL(`tidelock_${part}.wasm`, address)
  return /\/tidelock_bg\.wasm$/.test(new URL(address).pathname) ? [beside, own] : [own, beside]
}

function moduleAt(url: URL): Promise<WebAssembly.Module> {
  return remember(byUrl, url.href, () => compileUrl(url))
}

function buildOf(module: WebAssembly.Module): string {
  return WebAssembly.Module.customSections(module, 'build')
    .map((bytes) => new TextDecoder().decode(bytes))
    .join()
}

interface Memo<K> {
  get(key: K): Promise<WebAssembly.Module> | undefined
  set(key: K, value: Promise<WebAssembly.Module>): unknown
  delete(key: K): unknown
}

function remember<K>(memo: Memo<K>, key: K, compile: () => Promise<WebAssembly.Module>): Promise<WebAssembly.Module> {
  const known = memo.get(key)
  if (known !== undefined) return known
  const compiling = compile().catch((error: unknown) => {
    memo.delete(key)
    throw loadFailed(error, 'loaded')
  })
  memo.set(key, compiling)
  return compiling
}

async function compileUrl(url: URL): Promise<WebAssembly.Module> {
  if (url.protocol === 'file:') {
    // Only Node reads files. The variable hides the module from bundlers, which would resolve it for the browser.
    const fs = 'node:fs/promises'
    const { readFile } = (await import(/* @vite-ignore */ /* webpackIgnore: true */ fs)) as {
      readFile(url: URL): Promise<Uint8Array<ArrayBuffer>>
    }
    return WebAssembly.compile(await readFile(url))
  }
  return fetchModule(url)
}

/**
 * Fetches and compiles a module; `cache` as in `fetch`. The signal ends a request that stalls: everything on the page that needs the module
 * waits for it.
 */
async function fetchModule(
  url: URL,
  signal = AbortSignal.timeout(longestLoadMs),
  cache: RequestCache = 'default',
): Promise<WebAssembly.Module> {
  let response: Response | undefined
  try {
    response = await fetch(url, { signal, cache })
    return await compileResponse(response)
  } catch (error) {
    // The browser's cache may keep a bad answer, which later tries would get again, and also the page after a reload.
    if (response !== undefined && cache === 'default') return fetchModule(url, signal, 'reload')
    throw new Error(`${url}: ${(error as Error).message}`, { cause: error })
  }
}

async function compileResponse(response: Response): Promise<WebAssembly.Module> {
  if (!response.ok) throw new Error(`status ${response.status}`)
  // Streaming compilation requires this exact type, which not every server sends.
  const type = response.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase()
  // Dev servers answer the page for any address that they don't know.
  if (type === 'text/html') throw new Error('a page')
  if (type === 'application/wasm' && typeof WebAssembly.compileStreaming === 'function')
    return WebAssembly.compileStreaming(response)
  return WebAssembly.compile(await response.arrayBuffer())
}

function loadFailed(error: unknown, what: string): TidelockError {
  const blocked = error instanceof Error && /unsafe-eval|Content Security Policy/i.test(error.message)
  const why = error instanceof Error ? `: ${error.message}` : ''
  return new TidelockError('wasm_load_failed', `The wasm module could not be ${what}${why}`, {
    cause: error,
    hint: blocked
      ? "The page's Content-Security-Policy needs script-src 'wasm-unsafe-eval'"
      : 'Check the network, and that the tidelock_*.wasm files are served next to the script, or pass the place of tidelock_bg.wasm as the option wasm; reload the page after a deployment',
  })
}
