import type { Part } from '../../generated/instance.js'
import { type TidelockError, toTidelockError } from '../base/errors.js'
import { callUser } from '../base/events.js'
import type { LocalSchema, RecoveryReport, StoredDatabase } from '../base/generated-types.js'
import { loaded } from '../base/lazy-module.js'
import { isPrivate } from '../base/private-folders.js'
import { until, Waiting } from '../base/waiting.js'
import { Statements } from '../engine/codec/statements.js'
import type { ConnectionOptions } from '../engine/connection.js'
import type { Core, CoreFiles, CoreFolder, Host, NodeFiles } from '../engine/core.js'
import type { CoreOptions, CoreRemoteOptions } from '../engine/core-options.js'
import { DirectConnection } from '../engine/direct-connection.js'
import type { FunctionsSource, UserFunctions } from '../functions/functions.js'
import type { OpenOptions } from '../options/options.js'
import { requests } from '../remote/load-requests.js'
import type { DatabaseClient, EngineCallbacks } from './database-client.js'
import type { Instance } from './instance.js'

/** The options that {@link Bridge} passes to the instance unchanged. */
export interface BridgeOptions extends Pick<OpenOptions, 'signal' | 'encryption'> {
  readonly functions?: FunctionsSource | undefined
  /** The keys of sensitive columns, 32 bytes each. */
  readonly columnKeys?: readonly Uint8Array[] | undefined
}

/** Opens an instance in the thread that called `open`. Rejects with a {@link TidelockError}. */
export async function openHere(
  bridge: Bridge,
  checked: CoreOptions,
  client: DatabaseClient,
  instance: Instance,
  folder?: CoreFolder,
): Promise<void> {
  const connect = (core: Core, options: ConnectionOptions) => {
    const connection = new DirectConnection(core, new Statements(core, instance.memory, options.integers), options)
    client.connect(connection)
    return connection
  }
  await bridge.open(instance, client.connectionOptions(checked), connect, folder)
  client.opened(checked)
}

/**
 * Connects one wasm instance with the thread that called `open`: opens it, serves its callbacks, and ends it. After a trap, the bridge
 * releases the lock, which the instance can't do then.
 */
export class Bridge {
  readonly #checked: CoreOptions
  readonly #opening: BridgeOptions
  readonly #callbacks: EngineCallbacks
  #connection: DirectConnection | undefined
  #release: (() => void) | undefined
  #trap: TidelockError | undefined
  #isOpen = false
  /** The timer that looks for the files of the open database. */
  #looking: ReturnType<typeof setInterval> | undefined
  readonly #waiting = new Waiting()

  constructor(checked: CoreOptions, opening: BridgeOptions, callbacks: EngineCallbacks) {
    this.#checked = checked
    this.#opening = opening
    this.#callbacks = callbacks
  }

  /**
   * Opens the instance, over the folder if one is given. A failed opening releases its lock and folder. `connect` creates the {@link Calls},
   * which migrations that are functions need before the opening ends. Rejects with a {@link TidelockError}.
   */
  async open<T extends DirectConnection>(
    instance: Instance,
    given: ConnectionOptions,
    connect: (core: Core, options: ConnectionOptions) => T,
    folder?: CoreFolder,
  ): Promise<T> {
    let options = given
    try {
      const { remote, ...checked } = this.#checked
      const { Core } = instance
      const functions = await this.#addFunctions(instance)
      if (functions !== undefined)
        options = { ...options, functions, refine: (error) => given.refine(functions.refine(error)) }
      // Before anything is locked or created.
      if (remote !== undefined) await this.#unlessTrapped(Core.checkRemote(remote))
      if (checked.audit !== undefined) await this.#loadPart(instance, 'tools')
      if (folder !== undefined) this.#release = () => folder.abandon()
      const host = this.#host(instance)
      const opening = folder === undefined ? Core.open(checked, host) : Core.openFolder(checked, host, folder)
      const core = await this.#unlessTrapped(opening)
      this.#looking = lookFirst(core, folder)
      const onDead = (error: TidelockError) => {
        this.#letGo()
        options.onDead(error)
      }
      const connection = connect(core, { ...options, onDead })
      this.#connection = connection
      if (remote !== undefined) await connection.guard(connection.sync(() => core.connect(remote)))
      const { audit } = checked
      if (audit !== undefined) await connection.guard(connection.sync(() => core.audit(audit)))
      await this.#plantSeed(instance, core, connection)
      // In a second step, because migrations that are functions need the connection.
      await connection.guard(connection.sync(() => core.start()))
      this.#isOpen = true
      return connection
    } catch (error) {
      clearInterval(this.#looking)
      // An aborted opening leaves its files open.
      if (folder?.isPrivate) folder.abandon()
      throw options.refine(this.#trap ?? toTidelockError(error))
    }
  }

  /** Adds the SQL functions of encrypted columns and of the user, before any connection opens; returns the user's. */
  async #addFunctions({ Core }: Instance): Promise<UserFunctions | undefined> {
    const { functions: source, columnKeys } = this.#opening
    let functions: UserFunctions | undefined
    if (source !== undefined) {
      const { loadFunctions } = await loaded('functions', import('../functions/functions.js'))
      functions = await loadFunctions(source)
    }
    if (columnKeys !== undefined) {
      functions?.leaveTo('columnKey', ['encrypt', 'decrypt'])
      await this.#unlessTrapped(Core.addColumnKeys(columnKeys))
    }
    if (functions !== undefined) await this.#unlessTrapped(functions.addTo(Core, this.#checked.integers))
    return functions
  }

  /** Loads a part of the wasm. Rejects with the reason of the signal that ends the opening: meanwhile the core can't see the signal. */
  #loadPart(instance: Instance, part: Part): Promise<void> {
    const loading = instance.loadPart(part)
    return this.#isOpen ? loading : until(loading, { signal: this.#opening.signal })
  }

  /** Recovers a stored database, in the folder if one is given. Rejects with a {@link TidelockError}. */
  recover(instance: Instance, from: string | undefined, folder?: CoreFolder): Promise<RecoveryReport> {
    return this.#converted(async () => {
      await this.#addFunctions(instance)
      const host = this.#host(instance)
      const { Core } = instance
      if (folder === undefined) return this.#unlessTrapped(Core.recover(this.#checked, from, host))
      this.#release = () => folder.abandon()
      return this.#unlessTrapped(Core.recoverFolder(this.#checked, from, host, folder))
    })
  }

  /** Reads what is known of the database in a folder without opening it. Rejects with a {@link TidelockError}. */
  storedIn(instance: Instance, folder: CoreFiles): Promise<StoredDatabase> {
    return this.#converted(async () => this.#unlessTrapped(instance.Core.storedInFolder(this.#host(instance), folder)))
  }

  /** Deletes the database of a folder. Rejects with a {@link TidelockError}. */
  deleteFolder(instance: Instance, folder: NodeFiles): Promise<void> {
    this.#release = () => folder.abandon()
    return this.#converted(async () =>
      this.#unlessTrapped(instance.Core.deleteFolder(this.#checked, this.#host(instance), folder)),
    )
  }

  /** Moves the database to another storage, from or to the files. Rejects with a {@link TidelockError}. */
  moveStorage(instance: Instance, files: CoreFiles): Promise<void> {
    this.#release = () => files.abandon()
    const { name, storage } = this.#checked
    return this.#converted(async () =>
      this.#unlessTrapped(instance.Core.moveStorage(name, storage === 'indexeddb', this.#host(instance), files)),
    )
  }

  /** Reads the tables of a remote. Rejects with a {@link TidelockError}. */
  schemaFromRemote(instance: Instance, remote: CoreRemoteOptions): Promise<LocalSchema> {
    return this.#converted(async () =>
      this.#unlessTrapped(instance.Core.schemaFromRemote(remote, this.#host(instance))),
    )
  }

  /** Converts what `work` throws into a {@link TidelockError}: that of the trap, if the instance has trapped. */
  async #converted<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      throw this.#trap ?? toTidelockError(error)
    }
  }

  /** Settles as the instance's promise does, or rejects when the instance traps, since its promises never settle then. */
  #unlessTrapped<T>(promise: Promise<T>): Promise<T> {
    if (this.#trap !== undefined) throw this.#trap
    return this.#waiting.until(Promise.resolve(promise), undefined, (error) => error)
  }

  /** Imports the seed into a database without data. Closes the database when that fails. */
  async #plantSeed(instance: Instance, core: Core, connection: DirectConnection): Promise<void> {
    if (this.#callbacks.seed === undefined) return
    try {
      if (!connection.sync(() => core.wantsSeed())) return
      await this.#loadPart(instance, 'tools')
      const bytes = await this.#callbacks.seed()
      await connection.guard(connection.sync(() => core.seed(bytes)))
    } catch (error) {
      // The first error is the one to report.
      await connection.close().catch(() => {})
      throw error
    }
  }

  /** Ends a trapped instance, also during the opening: rejects its calls and releases its lock. */
  trapped(trap: TidelockError): void {
    this.#trap = trap
    this.#waiting.end(trap)
    this.#connection?.die(trap)
    this.#letGo()
  }

  #host(instance: Instance): Host {
    const { signal, encryption } = this.#opening
    const callbacks = this.#callbacks
    return {
      // In a microtask: a listener may call the database, which must not re-enter the wasm instance.
      emit: (event) => {
        if (event.type === 'close') clearInterval(this.#looking)
        queueMicrotask(() => callbacks.handle(event))
      },
      locked: (release) => {
        const abandon = this.#release
        this.#release = () => {
          release()
          abandon?.()
        }
      },
      requireHere: async () => {
        if (await isPrivate(this.#checked.name)) throw undefined
      },
      loadPart: (part) => this.#loadPart(instance, part),
      addFts5: (connection) => instance.addFts5(connection),
      migrate: (version, direction, permitId) => callbacks.migrate(version, direction, permitId),
      fetch: async (url, asking) => (await requests()).traced(url, asking, callbacks),
      accessToken: () => callbacks.accessToken(),
      nextSnapshot: (after) => callbacks.nextSnapshot(after),
      remoteFilter: (table) => callbacks.remoteFilter(table),
      resolveConflict: (conflict) => callbacks.resolveConflict(conflict),
      encryption,
      signal,
    }
  }

  #letGo(): void {
    clearInterval(this.#looking)
    const release = this.#release
    this.#release = undefined
    if (release !== undefined) callUser(release)
  }
}

/** How often it is looked whether the browser has removed the open files, in milliseconds. */
const lookEveryMs = 2000

/**
 * Looks again and again whether the browser has removed the open files, as it does when the user clears the data of the site: their handles
 * don't show it. Calls that would promise what is stored nowhere look first, and `close`, which would never end. It rejects when it is the
 * one that finds out. Returns the timer.
 */
function lookFirst(core: Core, folder: CoreFolder | undefined): ReturnType<typeof setInterval> | undefined {
  if (folder?.look === undefined) return undefined
  // A worker that has ended can't look: the call itself reports why.
  const look = async () => ((await folder.look?.().catch(() => true)) === false ? core.loseFiles() : undefined)
  const { flush, snapshotsCreate, health, close } = core
  core.flush = () => look().then(() => flush.call(core))
  core.snapshotsCreate = (options) => look().then(() => snapshotsCreate.call(core, options))
  core.health = (thresholds) => look().then(() => health.call(core, thresholds))
  core.close = async () => {
    const lost = await look()
    await close.call(core)
    if (lost !== undefined) throw lost
  }
  // One may end after the closing.
  return setInterval(() => void look().catch(() => {}), lookEveryMs)
}
