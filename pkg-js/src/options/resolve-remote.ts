import { checkBoolean, reading } from '../base/check.js'
import { invalid } from '../base/errors.js'
import type { RemoteEndpoint, RemoteOptions } from '../remote/remote-options.js'
import { accessOf, signedInUser, type WatchUser } from '../remote/supabase-client.js'
import type { OpenOptions } from './options.js'

/** Options whose remote says where it is, and whose name is that of one database. */
export interface ResolvedOptions {
  readonly options: OpenOptions
  /** Reports who is signed in, where the client does. */
  readonly watchUser?: WatchUser | undefined
  /** The only user to whom the database may belong. */
  readonly owner?: string | undefined
}

/** Puts URL, key and token in the place of a client. Throws `invalid_argument` for what isn't one, or is given twice. */
export function resolveClient(remote: RemoteOptions): RemoteEndpoint & { readonly watchUser?: WatchUser | undefined } {
  const { client, perUser: _, ...given } = reading('remote', () => ({ ...remote }))
  // What is missing is reported by the rules of the options.
  if (client === undefined) return given as RemoteEndpoint
  const twice = (['url', 'key', 'accessToken'] as const).find((name) => given[name] !== undefined)
  if (twice !== undefined) {
    throw invalid(`remote.${twice} and remote.client exclude each other`, {
      details: { option: `remote.${twice}` },
      hint: 'Leave it out: the client says where the project is, and who is signed in',
    })
  }
  return { ...accessOf(client), ...given } as RemoteEndpoint & { readonly watchUser?: WatchUser | undefined }
}

/**
 * Resolves the options `remote.client` and `remote.perUser`. Rejects with `invalid_argument`, and with `sync_unauthorized` with `perUser`
 * while no user is signed in.
 */
export async function resolveRemote(options: OpenOptions & { remote: RemoteOptions }): Promise<ResolvedOptions> {
  const { remote, name, path } = options
  const { watchUser, ...endpoint } = resolveClient(remote)
  const resolved = { ...options, remote: endpoint }
  const isPerUser = remote.perUser !== undefined && checkBoolean('remote.perUser', remote.perUser)
  if (!isPerUser || typeof name !== 'string') return { options: resolved, watchUser }
  if (path !== undefined) {
    throw invalid('remote.perUser and path exclude each other: all users would share the folder', {
      details: { option: 'path' },
      hint: "Leave path out: each user's folder is beside the others",
    })
  }
  const { client } = remote
  const owner = await signedInUser({ ...endpoint, client })
  return { options: { ...resolved, name: `${name}/${owner}` }, watchUser, owner }
}
