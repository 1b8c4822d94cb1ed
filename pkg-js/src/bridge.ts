import { Calls } from './calls.js'
import type { Core, CoreEvent, CoreOptions, Host } from './core.js'
import { Database } from './database.js'
import { isTidelockError, TidelockError, toTidelockError, trapped } from './errors.js'
import { callUser, type DatabaseEventMap, type Warning } from './events.js'
import type { Instance } from './instance.js'
import type { FolderFiles } from './node-files.js'
import type { Conflict, OpenOptions } from './options.js'
import type { RecoveryReport } from './recover.js'
import { resolveConflict } from './resolve-conflict.js'
import { loadSeed } from './seed.js'
import { IdleWatch, Tx } from './transaction.js'

/**
 * Joins one wasm instance with the database object over it: what the instance calls back, from the moment of its opening on,
 * while that object doesn't exist yet, until its end.
 */
export class Bridge {
  readonly #checked: CoreOptions
  readonly #options: OpenOptions
  readonly #warn: (warning: Warning) => void
  #calls: Calls | undefined
  #database: Database | undefined
  #release: (() => void) | undefined
  #trap: TidelockError | undefined
  #rejectOpening: ((error: TidelockError) => void) | undefined
  /** What a migration that is a function threw; wasm carries on only its text. */
  #thrown: { readonly version: string; readonly error: unknown } | undefined

  constructor(checked: CoreOptions, options: OpenOptions) {
    this.#checked = checked
    this.#options = options
    this.#warn = options.onWarning ?? (({ code, message }) => console.warn(`tidelock: ${message} (${code})`))
  }

  /**
   * Opens the instance, over the folder if one is given; what it took it gives back when it fails. Rejects with a
   * {@link TidelockError}.
   */
  async open(instance: Instance, folder?: FolderFiles): Promise<Database> {
    try {
      const { remote, ...options } = this.#checked
      const { Core } = instance
      // Before anything is taken or made.
      if (remote !== undefined) await this.#unlessTrapped(Core.checkRemote(remote))
      if (folder !== undefined) this.#release = () => folder.abandon()
      const host = this.#host(instance)
      const opening = folder === undefined ? Core.open(options, host) : Core.openFolder(options, host, folder)
      const core = await this.#unlessTrapped(opening)
      const calls = this.#connect(core, instance.memory)
      if (remote !== undefined) await calls.guard(calls.sync(() => core.connect(remote)))
      await this.#plantSeed(core, calls)
      // In a second step, so that migrations that are functions find the calls that they need.
      await calls.guard(calls.sync(() => core.start()))
      this.#database = new Database(this.#checked, calls)
      return this.#database
    } catch (error) {
      throw this.#refine(this.#trap ?? toTidelockError(error))
    }
  }

  /** Has the instance mend a stored database. Rejects with a {@link TidelockError}. */
  async recover(instance: Instance, from: string | undefined): Promise<RecoveryReport> {
    try {
      const recovering = instance.Core.recover(this.#checked, from, this.#host(instance))
      return (await this.#unlessTrapped(recovering)) as RecoveryReport
    } catch (error) {
      throw this.#trap ?? toTidelockError(error)
    }
  }

  /** Settles as the instance's promise does, or rejects when the instance traps: its promises never settle then. */
  #unlessTrapped<T>(promise: Promise<T>): Promise<T> {
    const dying = new Promise<never>((_, reject) => {
      this.#rejectOpening = reject
      if (this.#trap !== undefined) reject(this.#trap)
    })
    return Promise.race([promise, dying])
  }

  /** Gives a database without data its first. When that fails, nothing stays open. */
  async #plantSeed(core: Core, calls: Calls): Promise<void> {
    const { seed, signal } = this.#options
    if (seed === undefined) return
    try {
      if (!calls.sync(() => core.wantsSeed())) return
      const bytes = await loadSeed(seed, signal)
      signal?.throwIfAborted()
      await calls.guard(calls.sync(() => core.seed(bytes)))
    } catch (error) {
      // What went wrong first counts.
      await calls.close().catch(() => {})
      throw error
    }
  }

  /** The instance has trapped, now or while it opens: it can't give back its lock by itself any more. */
  trapped(cause: unknown): void {
    this.#trap ??= trapped(cause)
    this.#rejectOpening?.(this.#trap)
    this.#calls?.die(cause)
    this.#letGo()
  }

  #connect(core: Core, memory: WebAssembly.Memory): Calls {
    this.#calls = new Calls(core, memory, {
      integers: this.#checked.integers,
      warn: (warning) => this.#emit('warning', warning),
      refine: (error) => this.#refine(error),
      onDead: (error) => {
        this.#letGo()
        this.#database?.died(error)
      },
    })
    return this.#calls
  }

  #host(instance: Instance): Host {
    const { remote, signal, encryption } = this.#options
    return {
      // Later: listeners may call the database, which must not enter the wasm instance while it is telling this.
      emit: (event) => queueMicrotask(() => this.#handle(event)),
      locked: (release) => {
        this.#release = release
      },
      loadPart: (part) => instance.loadPart(part),
      addFts5: (connection) => instance.addFts5(connection),
      migrate: (version, direction, ticket) => this.#migrate(version, direction, ticket),
      fetch: (input, init) => (remote?.fetch ?? fetch)(input, init),
      accessToken: async () => (await remote?.accessToken?.()) ?? null,
      resolveConflict: (conflict) => resolveConflict(remote, conflict as Conflict),
      ...(encryption === undefined ? {} : { encryption }),
      ...(signal === undefined ? {} : { signal }),
    }
  }

  #handle({ type, detail }: CoreEvent): void {
    if (type === 'live') this.#database?.changed((detail as { ids: readonly number[] }).ids)
    else this.#emit(type, detail)
  }

  #emit(type: keyof DatabaseEventMap, detail: unknown): void {
    if (type === 'warning') callUser(this.#warn, detail as Warning)
    this.#database?.emit(type, detail)
  }

  async #migrate(version: string, direction: 'up' | 'down', ticket: number): Promise<void> {
    const migration = this.#options.migrations?.find((one) => one.version === version)
    const work = migration?.[direction]
    const calls = this.#calls
    if (typeof work !== 'function' || calls === undefined)
      throw new TidelockError('internal', `Migration ${version} has no function for ${direction}`)
    const idle = new IdleWatch(calls)
    const tx = new Tx(calls, ticket, idle)
    try {
      await work(tx)
      await tx.settled()
    } catch (error) {
      this.#thrown = { version, error }
      throw error
    } finally {
      tx.end()
      idle.stop()
    }
  }

  /** Gives the error of a failed migration what its function threw, as the cause. */
  #refine(error: TidelockError): TidelockError {
    const thrown = this.#thrown
    if (thrown === undefined || !isTidelockError(error, 'migration_failed')) return error
    const version = error.details.version ?? thrown.version
    if (version !== thrown.version) return error
    this.#thrown = undefined
    const details = { ...error.details, version }
    return new TidelockError(error.code, error.message, { hint: error.hint, details, cause: thrown.error })
  }

  #letGo(): void {
    const release = this.#release
    this.#release = undefined
    if (release !== undefined) callUser(release)
  }
}
