import { invalid, TidelockError } from '../base/errors.js'
import type { RemoteOptions } from './remote-options.js'
import { claimsOf } from './secrets.js'
import type { SupabaseLike, SupabaseSession } from './supabase-types.js'

// Reads an `@supabase/supabase-js` client. The package isn't imported: a client is recognized by its properties.

/** What a client has besides; its types don't show it. */
interface ClientInternals {
  readonly supabaseUrl?: unknown
  readonly supabaseKey?: unknown
  readonly rest?: { readonly url?: unknown; readonly schemaName?: unknown }
  /** The option of `createClient` for tokens of another service. The client then has no sessions: `auth` throws. */
  readonly accessToken?: () => Promise<string | null>
}

/** What a client stores its session with; its types don't show it. */
interface SessionStorage {
  readonly storage?: { getItem(key: string): string | null | Promise<string | null> }
  readonly storageKey?: string
}

/** Listens to who is signed in: calls the listener when that changes. Returns a function that ends it. */
export type WatchUser = (changed: (signedIn: boolean) => void) => () => void

/** Where a client's requests go, and as whom. */
export interface ClientAccess extends Pick<RemoteOptions, 'accessToken' | 'schema'> {
  readonly url: string
  readonly key: string
  /** Undefined for a client that has no sessions. */
  readonly watchUser: WatchUser | undefined
}

/** Reads a client. Throws `invalid_argument` when it isn't one. */
export function accessOf(client: unknown): ClientAccess {
  if (typeof client !== 'object' || client === null) throw noClient()
  const { supabaseUrl, supabaseKey, rest, accessToken } = client as ClientInternals
  const url = supabaseUrl ?? rest?.url
  const schema = typeof rest?.schemaName === 'string' ? rest.schemaName : undefined
  if (typeof url !== 'string' || typeof supabaseKey !== 'string') throw noClient()
  const common = { url, key: supabaseKey, ...(schema === undefined ? {} : { schema }) }
  if (accessToken !== undefined) {
    return { ...common, accessToken: () => (client as Required<ClientInternals>).accessToken(), watchUser: undefined }
  }
  const { auth } = client as SupabaseLike
  if (typeof auth?.getSession !== 'function' || typeof auth.onAuthStateChange !== 'function') throw noClient()
  return { ...common, accessToken: () => tokenOfSession(auth), watchUser: (changed) => watch(auth, changed) }
}

/**
 * Returns the id of the signed-in user: the `sub` of the token. A stored session counts although its token has expired, since a token can't
 * be refreshed without a network. Rejects with `sync_unauthorized` when no user is signed in.
 */
export async function signedInUser({ client, userId, accessToken }: RemoteOptions): Promise<string> {
  const user = userId ?? (await storedUser(client)) ?? userOf(await accessToken?.())
  if (user !== undefined) return user
  throw new TidelockError('sync_unauthorized', 'remote.perUser needs a signed-in user, and no user is signed in', {
    hint: 'Open the database once the user has signed in; it then opens without a network, too',
    details: { option: 'remote.perUser', signedIn: false },
  })
}

async function storedUser(client: SupabaseLike | undefined): Promise<string | undefined> {
  if (client === undefined || (client as ClientInternals).accessToken !== undefined) return undefined
  const { storage, storageKey } = client.auth as SessionStorage
  try {
    const text = await storage?.getItem(storageKey ?? '')
    return userOf((JSON.parse(text ?? 'null') as SupabaseSession | null)?.access_token)
  } catch {
    // Another kind of storage: the session itself shows it.
    return undefined
  }
}

async function tokenOfSession(auth: SupabaseLike['auth']): Promise<string | null> {
  const { data, error } = await auth.getSession()
  // A token that couldn't be refreshed, as without a network: the user has not signed out.
  if (error !== null && error !== undefined) throw error
  return data.session?.access_token ?? null
}

function watch(auth: SupabaseLike['auth'], changed: (signedIn: boolean) => void): () => void {
  let before: string | null | undefined
  const { data } = auth.onAuthStateChange((event, session) => {
    const user = session === null ? null : (userOf(session.access_token) ?? session.access_token)
    // A session that couldn't be refreshed without a network begins as none: its user has never left.
    const isRefreshed = before === null && event === 'TOKEN_REFRESHED'
    const isChanged = before !== undefined && before !== user && !isRefreshed
    before = user
    if (isChanged) changed(user !== null)
  })
  return () => data.subscription.unsubscribe()
}

function userOf(token: string | null | undefined): string | undefined {
  return typeof token === 'string' ? claimsOf(token)?.sub : undefined
}

function noClient(): TidelockError {
  return invalid('remote.client is not a Supabase client: it has no URL, key and sessions', {
    details: { option: 'remote.client' },
    hint: 'Pass what createClient of @supabase/supabase-js 2 returns; or pass url, key and accessToken instead',
  })
}
