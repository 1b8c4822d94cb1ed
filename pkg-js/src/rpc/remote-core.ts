import type { Core } from '../engine/core.js'
import type { AskOptions } from './channel.js'
import type { WorkerMethods } from './protocol.js'

/** Properties of an engine in another thread. */
export interface RemoteTraits {
  /** Whether the data outlives the engine, in storage. */
  readonly lasting: boolean
  /** Whether several tabs share it: the serving engine may change at any time, and pending calls are then sent again. */
  readonly shared?: boolean
}

type CallByName = Parameters<WorkerMethods['core']>

/** The messages by which a {@link Core} in another thread is called. */
export interface CoreMessages {
  ask(call: CallByName, options?: AskOptions): Promise<unknown>
  notify(call: CallByName): void
  close(): Promise<void>
}

/** Returns a `Core` whose methods call the engine by name and return promises, except for `newCancel`, whose ids are made here. */
export function remoteCore(engine: CoreMessages, traits: RemoteTraits): Core {
  // Clients of one engine must not use the same ids.
  let cancels = traits.shared === true ? Math.floor(Math.random() * 2 ** 31) : 0
  const get = (_: object, method: string) =>
    method === 'newCancel' ? () => ++cancels : (...args: unknown[]) => callCore(engine, traits, method, args)
  return new Proxy({}, { get }) as Core
}

/** Calls a method of the engine by name. */
function callCore(engine: CoreMessages, traits: RemoteTraits, method: string, args: readonly unknown[]): unknown {
  switch (method) {
    case 'close':
      return engine.close()
    case 'persist':
      return persist(engine, traits)
    case 'cancel':
    case 'dropCancel':
      return engine.notify([method, ...args])
    default: {
      const transfer: ArrayBuffer[] = []
      const copies = args.map((one) => (one instanceof Uint8Array ? copied(one, transfer) : one))
      return engine.ask([method, ...copies], { transfer })
    }
  }
}

/** Asks the engine first, then the browser, since only a page can request persistent storage. */
async function persist(engine: CoreMessages, { lasting }: RemoteTraits): Promise<boolean> {
  const promised = await engine.ask(['persist'])
  return promised === true || (lasting && ((await navigator.storage?.persist?.()) ?? false))
}

/** Copies bytes for transfer, since the caller may go on using its own. */
function copied(bytes: Uint8Array, transfer: ArrayBuffer[]): Uint8Array {
  const copy = bytes.slice()
  transfer.push(copy.buffer)
  return copy
}
