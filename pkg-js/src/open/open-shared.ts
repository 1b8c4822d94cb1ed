import { unsupported } from '../base/errors.js'
import type { CoreOptions } from '../engine/core.js'
import { loadModule } from '../instance/instance.js'
import type { LocalUser } from '../instance/user.js'
import type { OpenOptions } from '../options/options.js'
import { Channel } from '../rpc/channel.js'
import type { Opening, PageMethods, WorkerMethods } from '../rpc/protocol.js'
import { type Begin, RemoteCalls } from '../rpc/remote-calls.js'
import { Link } from '../tabs/shared-tab.js'
import { pageHandlers, startWorker } from '../worker/open-in-worker.js'

/**
 * Opens a database that several tabs share. What leads and follows does for a tab what a worker does for its page. Rejects as every
 * opening does, with `leader_unreachable` when the tab that leads doesn't answer, with `unsupported_environment` where tabs can't speak with
 * each other, and with `schema_too_new` when the tab that leads runs a newer version of the app.
 */
export async function openShared(
  checked: CoreOptions,
  options: OpenOptions,
  user: LocalUser,
  given: Pick<Opening, 'encryption' | 'functions' | 'columnKeys'>,
): Promise<void> {
  if (typeof BroadcastChannel !== 'function') {
    throw unsupported('BroadcastChannel', 'BroadcastChannel is missing here', "Leave tabs out, for 'exclusive'")
  }
  const module = await loadModule(options.wasm)
  options.signal?.throwIfAborted()
  const begin: Begin = (connection, number, heard) => {
    const link = new Link(
      (message) => queueMicrotask(() => channel.receive(message)),
      options.thread === 'worker' ? () => startWorker(options.worker) : undefined,
    )
    const channel: Channel<WorkerMethods, PageMethods> = new Channel<WorkerMethods, PageMethods>(
      (message) => queueMicrotask(() => link.channel.receive(message)),
      { ...pageHandlers(connection, number, options, user), hello: () => {} },
    )
    const end = (error: unknown) => {
      channel.end(error)
      link.end()
    }
    const has = { seed: user.seed !== undefined, fetch: user.fetch !== undefined }
    const opened = channel.ask('open', [{ checked, module, ...given, has, heard }])
    return { session: { channel, gone: link.gone, end }, opened }
  }
  const traits = { lasting: true, shared: true }
  const connection = new RemoteCalls(user.callsOptions(checked), begin, traits, () => user.renewed())
  user.connect(connection)
  await connection.open(options.signal)
  user.opened(checked, connection)
}
