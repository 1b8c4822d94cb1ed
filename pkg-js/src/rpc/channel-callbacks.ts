import type { CoreEvent } from '../engine/core.js'
import type { EngineCallbacks } from '../instance/database-client.js'
import type { HttpRequest, HttpResponse } from '../remote/request.js'
import type { Channel } from './channel.js'
import { forwardedCallbacks, type OpenRequest, type PageMethods, type WorkerMethods } from './protocol.js'

/** Returns callbacks that call the page in another thread; `emit` distributes the events. `has`: the optional callbacks that the page has. */
export function channelCallbacks(
  channel: Channel<PageMethods, WorkerMethods>,
  emit: (event: CoreEvent) => void,
  has: OpenRequest['has'],
): EngineCallbacks {
  const seed = () => channel.ask('seed', [])
  const fetch = (url: string, { signal, ...given }: HttpRequest): Promise<HttpResponse> =>
    channel.ask('fetch', [url, given], { signal })
  return {
    ...channel.stubs(['migrate', ...forwardedCallbacks]),
    handle: emit,
    ...(has.seed ? { seed } : {}),
    ...(has.fetch ? { fetch } : {}),
  }
}
