import { TidelockError, unsupported } from '../base/errors.js'
import type { CoreOptions } from '../engine/core-options.js'
import { loadModule, loadPart } from '../instance/instance.js'
import type { OpenOptions } from '../options/options.js'
import type { Handlers } from '../rpc/channel.js'
import type { PageMethods } from '../rpc/protocol.js'
import { WorkerSession } from '../rpc/worker-session.js'
import { startWorker } from './start-worker.js'

/**
 * Moves a database in a worker of the package, which ends then. Rejects as the move does, with the reason of the signal, with
 * `wasm_load_failed` when the worker can't be loaded, `worker_crashed`, and `unsupported_environment` where there are no workers.
 */
export async function moveInWorker(checked: CoreOptions, options: OpenOptions, signal: AbortSignal): Promise<void> {
  if (typeof Worker !== 'function')
    throw unsupported('Worker', 'There are no Workers here', 'Move the database in a page')
  const { worker, wasm, encryption } = options
  let end: (error: unknown) => void = () => {}
  const ended = new Promise<never>((_, reject) => {
    end = reject
  })
  const part: Handlers<PageMethods>['part'] = async (_, part) => loadPart(part, await loadModule(wasm), wasm)
  // An engine that opens nothing asks for nothing else.
  const handlers = { part } as Omit<Handlers<PageMethods>, 'hello'>
  const session = new WorkerSession(startWorker(worker), handlers, {
    failed: end,
    crashed: (cause) => end(crash(cause)),
  })
  signal.addEventListener('abort', () => end(signal.reason))
  try {
    const moved = loadModule(wasm).then((module) => session.channel.ask('move', [{ checked, module, encryption }]))
    await Promise.race([ended, moved])
  } finally {
    session.end(new TidelockError('closed', 'The worker has ended', { hint: 'The move has ended, too' }))
    // Its files are free then.
    await session.released
  }
}

function crash(cause: unknown): TidelockError {
  const hint = 'The database is whole in one of the storages: move it again'
  return new TidelockError('worker_crashed', 'The worker that moves the database crashed', { hint, cause })
}
