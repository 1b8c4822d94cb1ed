import type { CoreEvent } from '../engine/core.js'
import type { User } from '../instance/user.js'
import type { Answer, Asking } from '../remote/request.js'
import type { Channel } from './channel.js'
import { type Opening, type PageMethods, questions, type WorkerMethods } from './protocol.js'

/** The user of a database in another thread, who is asked there; `tell` spreads the events. `has` says what else there is to ask for. */
export function remoteUser(
  channel: Channel<PageMethods, WorkerMethods>,
  tell: (event: CoreEvent) => void,
  has: Opening['has'],
): User {
  const seed = () => channel.ask('seed', [])
  const fetch = (url: string, { signal, ...given }: Asking): Promise<Answer> =>
    channel.ask('fetch', [url, given], { signal })
  return {
    ...channel.asking(['migrate', ...questions]),
    handle: tell,
    ...(has.seed ? { seed } : {}),
    ...(has.fetch ? { fetch } : {}),
  }
}
