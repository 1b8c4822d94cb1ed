import { type TidelockError, toTidelockError } from '../base/errors.js'
import { callUser } from '../base/events.js'
import { loaded } from '../base/lazy-module.js'
import { Waiting } from '../base/waiting.js'
import { Calls } from '../engine/calls.js'
import { Statements } from '../engine/codec/statements.js'
import type { CallsOptions } from '../engine/connection.js'
import type { Core, CoreOptions, CoreRemoteOptions, Host } from '../engine/core.js'
import type { FunctionsSource, UserFunctions } from '../functions/functions.js'
import type { FolderFiles } from '../node/files.js'
import type { ReadOnlyFiles } from '../node/read-only.js'
import type { OpenOptions } from '../options/options.js'
import type { Conflict } from '../remote/remote-options.js'
import { request } from '../remote/request.js'
import type { Instance } from './instance.js'
import type { LocalUser, User } from './user.js'

/** What {@link Bridge} hands on as it is. */
export interface Opening extends Pick<OpenOptions, 'signal' | 'encryption'> {
  readonly functions?: FunctionsSource | undefined
  /** The keys of sensitive columns, 32 bytes each. */
  readonly columnKeys?: readonly Uint8Array[] | undefined
}

/** Opens an instance for a user in this very thread. Rejects with a {@link TidelockError}. */
export async function openHere(
  bridge: Bridge,
  checked: CoreOptions,
  user: LocalUser,
  instance: Instance,
  folder?: FolderFiles | ReadOnlyFiles,
): Promise<void> {
  const connect = (core: Core, options: CallsOptions) => {
    const calls = new Calls(core, new Statements(core, instance.memory, options.integers), options)
    user.connect(calls)
    return calls
  }
  const calls = await bridge.open(instance, user.callsOptions(checked), connect, folder)
  user.opened(checked, calls)
}

/**
 * Joins one wasm instance with its user: the opening, what the instance calls back from then on, and its end, also by a trap, after which
 * it can't give back its lock by itself.
 */
export class Bridge {
  readonly #checked: CoreOptions
  readonly #opening: Opening
  readonly #user: User
  #calls: Calls | undefined
  #release: (() => void) | undefined
  #trap: TidelockError | undefined
  readonly #waiting = new Waiting()

  constructor(checked: CoreOptions, opening: Opening, user: User) {
    this.#checked = checked
    this.#opening = opening
    this.#user = user
  }

  /**
   * Opens the instance, over the folder if one is given; what it took it gives back when it fails. `connect` makes the calls, which
   * migrations that are functions need before the end of the opening. Rejects with a {@link TidelockError}.
   */
  async open<T extends Calls>(
    instance: Instance,
    given: CallsOptions,
    connect: (core: Core, options: CallsOptions) => T,
    folder?: FolderFiles | ReadOnlyFiles,
  ): Promise<T> {
    let options = given
    try {
      const { remote, ...checked } = this.#checked
      const { Core } = instance
      const functions = await this.#addFunctions(instance)
      if (functions !== undefined)
        options = { ...options, functions, refine: (error) => given.refine(functions.refine(error)) }
      // Before anything is taken or made.
      if (remote !== undefined) await this.#unlessTrapped(Core.checkRemote(remote))
      if (folder !== undefined) this.#release = () => folder.abandon()
      const host = this.#host(instance)
      const opening = folder === undefined ? Core.open(checked, host) : Core.openFolder(checked, host, folder)
      const core = await this.#unlessTrapped(opening)
      const onDead = (error: TidelockError) => {
        this.#letGo()
        options.onDead(error)
      }
      const calls = connect(core, { ...options, onDead })
      this.#calls = calls
      if (remote !== undefined) await calls.guard(calls.sync(() => core.connect(remote)))
      const { audit } = checked
      if (audit !== undefined) await calls.guard(calls.sync(() => core.audit(audit)))
      await this.#plantSeed(core, calls)
      // In a second step, so that migrations that are functions find the calls that they need.
      await calls.guard(calls.sync(() => core.start()))
      if (audit !== undefined) {
        for (const table of await calls.guard(calls.sync(() => core.auditMissing())))
          calls.warn('audit_table_missing', `The table '${table}' is to be audited, and doesn't exist`)
      }
      return calls
    } catch (error) {
      throw options.refine(this.#trap ?? toTidelockError(error))
    }
  }

  /** SQL functions, those of the columns and the user's: in the instance before anything else. Gives the user's. */
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

  /** Has the instance mend a stored database, in the folder if one is given. Rejects with a {@link TidelockError}. */
  recover(instance: Instance, from: string | undefined, folder?: FolderFiles | ReadOnlyFiles): Promise<unknown> {
    return this.#asked(async () => {
      await this.#addFunctions(instance)
      const host = this.#host(instance)
      const { Core } = instance
      if (folder === undefined) return this.#unlessTrapped(Core.recover(this.#checked, from, host))
      this.#release = () => folder.abandon()
      return this.#unlessTrapped(Core.recoverFolder(this.#checked, from, host, folder))
    })
  }

  /** Has the instance look at the database of a folder. Rejects with a {@link TidelockError}. */
  storedIn(instance: Instance, folder: FolderFiles | ReadOnlyFiles): Promise<unknown> {
    return this.#asked(async () => this.#unlessTrapped(instance.Core.storedInFolder(this.#host(instance), folder)))
  }

  /** Has the instance delete the database of a folder. Rejects with a {@link TidelockError}. */
  deleteFolder(instance: Instance, folder: FolderFiles | ReadOnlyFiles): Promise<void> {
    this.#release = () => folder.abandon()
    return this.#asked(async () =>
      this.#unlessTrapped(instance.Core.deleteFolder(this.#checked, this.#host(instance), folder)),
    )
  }

  /** Has the instance ask a remote for its tables. Rejects with a {@link TidelockError}. */
  schemaFromRemote(
    instance: Instance,
    remote: CoreRemoteOptions,
  ): Promise<{ readonly up: string; readonly down: string; readonly leftOut: readonly string[] }> {
    return this.#asked(async () => {
      const asking = instance.Core.schemaFromRemote(remote, this.#host(instance))
      return (await this.#unlessTrapped(asking)) as { up: string; down: string; leftOut: string[] }
    })
  }

  /** What the instance is asked for. Rejects with a {@link TidelockError}: of a trap, if that is why it fails. */
  async #asked<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask()
    } catch (error) {
      throw this.#trap ?? toTidelockError(error)
    }
  }

  /** Settles as the instance's promise does, or rejects when the instance traps: its promises never settle then. */
  #unlessTrapped<T>(promise: Promise<T>): Promise<T> {
    if (this.#trap !== undefined) throw this.#trap
    return this.#waiting.until(Promise.resolve(promise), undefined, (error) => error)
  }

  /** Gives a database without data its first. When that fails, nothing stays open. */
  async #plantSeed(core: Core, calls: Calls): Promise<void> {
    if (this.#user.seed === undefined) return
    try {
      if (!calls.sync(() => core.wantsSeed())) return
      const bytes = await this.#user.seed()
      await calls.guard(calls.sync(() => core.seed(bytes)))
    } catch (error) {
      // What went wrong first counts.
      await calls.close().catch(() => {})
      throw error
    }
  }

  /** The instance has trapped, now or while it opens: it can't give back its lock by itself any more. */
  trapped(trap: TidelockError): void {
    this.#trap = trap
    this.#waiting.end(trap)
    this.#calls?.die(trap)
    this.#letGo()
  }

  #host(instance: Instance): Host {
    const { signal, encryption } = this.#opening
    const user = this.#user
    return {
      // Later: listeners may call the database, which must not enter the wasm instance while it is telling this.
      emit: (event) => queueMicrotask(() => user.handle(event)),
      locked: (release) => {
        this.#release = release
      },
      loadPart: (part) => instance.loadPart(part),
      addFts5: (connection) => instance.addFts5(connection),
      migrate: (version, direction, ticket) => user.migrate(version, direction, ticket),
      fetch: (url, asking) => (user.fetch === undefined ? request(url, asking) : user.fetch(url, asking)),
      accessToken: () => user.accessToken(),
      nextSnapshot: (after) => user.nextSnapshot(after),
      resolveConflict: (conflict) => user.resolveConflict(conflict as Conflict),
      encryption,
      signal,
    }
  }

  #letGo(): void {
    const release = this.#release
    this.#release = undefined
    if (release !== undefined) callUser(release)
  }
}
