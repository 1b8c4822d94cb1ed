import { unsupported } from '../base/errors.js'
import type { CoreOptions } from '../engine/core-options.js'
import type { DatabaseClient } from '../instance/database-client.js'
import { loadModule } from '../instance/instance.js'
import type { OpenOptions } from '../options/options.js'
import { Channel } from '../rpc/channel.js'
import { type BeginSession, ChannelConnection } from '../rpc/channel-connection.js'
import { pageHandlers } from '../rpc/page-handlers.js'
import type { OpenRequest, PageMethods, WorkerMethods } from '../rpc/protocol.js'
import { engineHere, engineInWorker } from '../tabs/engine.js'
import { SharedTab } from '../tabs/shared-tab.js'
import { startWorker } from '../worker/start-worker.js'
import { filesOf } from './files-of.js'

/**
 * Opens a database that several tabs share. The link to the leader does for a tab what a worker does for its page. Rejects as `open` does,
 * and with `leader_unreachable` when the leader tab doesn't answer, with `unsupported_environment` without BroadcastChannel, and with
 * `schema_too_new` when the leader tab runs a newer version of the app.
 */
export async function openShared(
  checked: CoreOptions,
  options: OpenOptions,
  client: DatabaseClient,
  given: Pick<OpenRequest, 'encryption' | 'functions' | 'columnKeys'>,
): Promise<void> {
  if (typeof BroadcastChannel !== 'function') {
    throw unsupported('BroadcastChannel', 'BroadcastChannel is missing here', "Leave tabs out, for 'exclusive'")
  }
  const module = await loadModule(options.wasm)
  options.signal?.throwIfAborted()
  const begin: BeginSession = (connection, number, eventTypes) => {
    const tab = new SharedTab(
      client.secrets,
      (message) => queueMicrotask(() => channel.receive(message)),
      (handlers, events) =>
        options.thread === 'worker'
          ? engineInWorker(startWorker(options.worker), handlers, events)
          : engineHere(handlers, (opening) => filesOf(opening, options)),
    )
    const channel: Channel<WorkerMethods, PageMethods> = new Channel<WorkerMethods, PageMethods>(
      (message) => queueMicrotask(() => tab.channel.receive(message)),
      { ...pageHandlers(connection, number, options, client), hello: () => {} },
    )
    const end = (error: unknown) => {
      channel.end(error)
      tab.end()
    }
    const has = { seed: client.seed !== undefined, fetch: client.fetch !== undefined }
    const opened = channel.ask('open', [{ checked, module, ...given, has, eventTypes }])
    return { session: { channel, released: tab.released, end }, opened }
  }
  const traits = { lasting: true, shared: true }
  const connection = new ChannelConnection(client.connectionOptions(checked), begin, traits, () => client.renewed())
  client.connect(connection)
  await connection.open(options.signal)
  client.opened(checked)
}
