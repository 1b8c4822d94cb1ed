import { TidelockError } from './errors.js'
import type { RemoteOptions } from './options.js'

/** Where a REST API is, and how to get in. */
export type RestEndpoint = Pick<
  RemoteOptions,
  'url' | 'key' | 'accessToken' | 'schema' | 'fetch' | 'headers' | 'timeoutMs'
>

/**
 * A single `GET` outside of any sync, for questions about a remote. A URL without a path is tried as a Supabase project's first, then as
 * PostgREST itself, as a pull does. Gives every answer, also one that refuses; rejects with `sync_network`.
 */
export async function getRest(remote: RestEndpoint, path: string): Promise<Response> {
  const token = (await remote.accessToken?.()) ?? (isJwt(remote.key) ? remote.key : undefined)
  const headers = {
    apikey: remote.key,
    'accept-profile': remote.schema ?? 'public',
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...remote.headers,
  }
  const url = new URL(remote.url)
  const root = url.href.replace(/\/+$/, '')
  const roots = url.pathname === '/' ? [`${root}/rest/v1`, root] : [root]
  const ask = remote.fetch ?? fetch
  let response: Response | undefined
  for (const each of roots) {
    try {
      response = await ask(`${each}/${path}`, { headers, signal: AbortSignal.timeout(remote.timeoutMs ?? 30_000) })
    } catch (cause) {
      throw new TidelockError('sync_network', `${url.host} can't be reached`, {
        cause,
        hint: 'Is the URL right, is there a network, and does the server allow requests from this page (CORS)?',
      })
    }
    if (response.status !== 404) break
  }
  return response as Response
}

function isJwt(key: string): boolean {
  return key.split('.').length === 3
}
