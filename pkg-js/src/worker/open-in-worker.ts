import { unsupported } from '../base/errors.js'
import type { CoreOptions } from '../engine/core-options.js'
import type { DatabaseClient } from '../instance/database-client.js'
import { loadModule } from '../instance/instance.js'
import type { OpenOptions } from '../options/options.js'
import { type BeginSession, ChannelConnection } from '../rpc/channel-connection.js'
import { pageHandlers } from '../rpc/page-handlers.js'
import type { OpenRequest } from '../rpc/protocol.js'
import { WorkerSession } from '../rpc/worker-session.js'
import { startWorker } from './start-worker.js'

/**
 * Opens a database whose engine runs in a worker of its own. When the worker crashes, another one takes its place, with the same options.
 * Rejects as an opening in this thread does, with `wasm_load_failed` when the worker can't be loaded, and with
 * `unsupported_environment` where there are no workers.
 */
export async function openInWorker(
  checked: CoreOptions,
  options: OpenOptions,
  client: DatabaseClient,
  given: Pick<OpenRequest, 'functions' | 'columnKeys'>,
): Promise<void> {
  if (typeof Worker !== 'function') {
    throw unsupported('Worker', 'There are no Workers here', "Leave thread out, for 'current'")
  }
  const begin: BeginSession = (connection, number, eventTypes) => {
    let fail: (error: unknown) => void = () => {}
    const failed = new Promise<never>((_, reject) => {
      fail = reject
    })
    const again = number > 1
    const worker = () => {
      try {
        return startWorker(options.worker)
      } catch (error) {
        fail(error)
        return inert()
      }
    }
    const session = new WorkerSession(worker(), handlers(connection, number), {
      failed: fail,
      crashed: (cause) => connection.crashed(number, cause),
    })
    return { session, opened: Promise.race([failed, opening(session, again, eventTypes)]) }
  }
  const handlers = (connection: ChannelConnection, number: number) => pageHandlers(connection, number, options, client)
  const opening = async (session: WorkerSession, again: boolean, eventTypes: readonly string[]) => {
    const module = await loadModule(options.wasm)
    const request = {
      // The browser releases the lock of the crashed worker: no other holder must lose it by a takeover or a steal.
      checked: again ? { ...checked, onBusy: 'wait' as const } : checked,
      module,
      ...given,
      has: { seed: client.seed !== undefined && !again, fetch: client.fetch !== undefined },
      eventTypes,
    }
    await client.secrets.open((encryption) => session.channel.ask('open', [{ ...request, encryption }]))
  }
  const connection = new ChannelConnection(
    client.connectionOptions(checked),
    begin,
    { lasting: checked.storage !== 'memory' },
    () => client.renewed(),
  )
  client.connect(connection)
  await connection.open(options.signal)
  client.opened(checked)
}

/** Returns what takes the place of a worker that can't be started: calls wait until the session ends. */
function inert(): Worker {
  return { postMessage: () => {}, terminate: () => {} } as unknown as Worker
}
