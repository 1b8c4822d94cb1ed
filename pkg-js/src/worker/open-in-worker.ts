import { unsupported } from '../base/errors.js'
import type { CoreOptions } from '../engine/core.js'
import { loadModule, loadPart } from '../instance/instance.js'
import type { LocalUser } from '../instance/user.js'
import type { OpenOptions } from '../options/options.js'
import { request } from '../remote/request.js'
import { answering, type Handlers, Moved } from '../rpc/channel.js'
import { type Opening, type PageMethods, questions } from '../rpc/protocol.js'
import { type Begin, RemoteCalls } from '../rpc/remote-calls.js'
import { fromThrown } from '../rpc/thrown.js'
import { Session, workerFailed } from '../rpc/worker-session.js'

/**
 * Opens a database whose engine runs in a worker of its own. When that dies, another one takes its place, with the same options.
 * Rejects as an opening in this thread does, with `wasm_load_failed` when the worker can't be loaded, and with
 * `unsupported_environment` where there are none.
 */
export async function openInWorker(
  checked: CoreOptions,
  options: OpenOptions,
  user: LocalUser,
  given: Pick<Opening, 'encryption' | 'functions' | 'columnKeys'>,
): Promise<void> {
  if (typeof Worker !== 'function') {
    throw unsupported('Worker', 'There are no Workers here', "Leave thread out, for 'current'")
  }
  const begin: Begin = (connection, number, heard) => {
    let fail: (error: unknown) => void = () => {}
    const failed = new Promise<never>((_, reject) => {
      fail = reject
    })
    const again = number > 1
    const session = new Session(startWorker(options.worker), handlers(connection, number), {
      failed: fail,
      crashed: (cause) => connection.crashed(number, cause),
    })
    return { session, opened: Promise.race([failed, opening(session, again, heard)]) }
  }
  const handlers = (connection: RemoteCalls, number: number) => pageHandlers(connection, number, options, user)
  const opening = async (session: Session, again: boolean, heard: readonly string[]) => {
    const module = await loadModule(options.wasm)
    await session.channel.ask('open', [
      {
        // The lock comes free with the worker that died: nobody is robbed for it.
        checked: again ? { ...checked, onBusy: 'wait' } : checked,
        module,
        ...given,
        has: { seed: user.seed !== undefined && !again, fetch: user.fetch !== undefined },
        heard,
      },
    ])
  }
  const connection = new RemoteCalls(user.callsOptions(checked), begin, { lasting: checked.storage !== 'memory' }, () =>
    user.renewed(),
  )
  user.connect(connection)
  await connection.open(options.signal)
  user.opened(checked, connection)
}

/** What an engine elsewhere gets from the thread that called `open`. */
export function pageHandlers(
  connection: RemoteCalls,
  number: number,
  options: OpenOptions,
  user: LocalUser,
): Omit<Handlers<PageMethods>, 'hello'> {
  return {
    ...answering<PageMethods, (typeof questions)[number]>(user, questions),
    event: (_, event) => user.handle(event),
    dead: (_, error) => void connection.die(fromThrown(error)),
    migrate: (_, version, direction, ticket) => user.migrate(version, direction, connection.ticketOf(number, ticket)),
    fetch: async (signal, url, asking) => {
      const answer = await (user.fetch ?? request)(url, { ...asking, signal })
      return new Moved(answer, answer.body === null ? [] : [answer.body.buffer])
    },
    seed: async () => (await user.seed?.()) ?? new Uint8Array(),
    part: async (_, part) => loadPart(part, await loadModule(options.wasm), options.wasm),
    role: (_, role) => user.plays(role),
    renewed: () => user.renewed(),
  }
}

/** Bundlers look for exactly this expression. */
export function startWorker(worker: OpenOptions['worker']): Worker {
  try {
    if (typeof worker === 'function') return worker()
    if (worker !== undefined) return new Worker(worker, { type: 'module' })
    // Vite's dependency optimizer moves this module to node_modules/.vite/deps and leaves the worker behind.
    const here = import.meta.url
    if (here.includes('/.vite/deps/'))
      return new Worker(new URL('../../tidelock/dist/worker.js', here), { type: 'module' })
    return new Worker(new URL('./worker.js', import.meta.url), { type: 'module' })
  } catch (cause) {
    throw workerFailed(cause instanceof Error ? cause.message : undefined, cause)
  }
}
