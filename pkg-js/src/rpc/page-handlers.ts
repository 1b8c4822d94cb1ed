import type { DatabaseClient } from '../instance/database-client.js'
import { loadModule, loadPart } from '../instance/instance.js'
import type { OpenOptions } from '../options/options.js'
import { request } from '../remote/request.js'
import { type Handlers, handlersOf, Transferred } from './channel.js'
import type { ChannelConnection } from './channel-connection.js'
import { forwardedCallbacks, type PageMethods } from './protocol.js'
import { deserializeError } from './serialized-error.js'

/** Returns the handlers by which the page serves an engine in another thread or tab. */
export function pageHandlers(
  connection: ChannelConnection,
  number: number,
  options: OpenOptions,
  client: DatabaseClient,
): Omit<Handlers<PageMethods>, 'hello'> {
  return {
    ...handlersOf<PageMethods, (typeof forwardedCallbacks)[number]>(client, forwardedCallbacks),
    event: (_, event) => client.handle(event),
    dead: (_, error) => void connection.die(deserializeError(error)),
    migrate: (_, version, direction, permitId) =>
      client.migrate(version, direction, connection.permitIdOf(number, permitId)),
    fetch: async (signal, url, asking) => {
      const answer = await (client.fetch ?? request)(url, { ...asking, signal })
      return new Transferred(answer, answer.body === null ? [] : [answer.body.buffer])
    },
    seed: async () => (await client.seed?.()) ?? new Uint8Array(),
    part: async (_, part) => loadPart(part, await loadModule(options.wasm), options.wasm),
    role: (_, role) => client.plays(role),
    renewed: () => client.renewed(),
    refused: (_, error) => client.refused(deserializeError(error)),
  }
}
