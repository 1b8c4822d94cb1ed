import { isA } from '../base/brand.js'
import { invalid, TidelockError } from '../base/errors.js'
import { mayHoldSecrets } from '../base/is-node.js'
import type { RemoteEndpoint } from './remote-options.js'
import { type HttpResponse, isOk, redirectError, request } from './request.js'
import { checkHeader, checkHeaders, isJwt, Secrets } from './secrets.js'

/** The URL and the credentials of a REST API. */
export type RestEndpoint = Pick<
  RemoteEndpoint,
  'url' | 'key' | 'accessToken' | 'schema' | 'fetch' | 'headers' | 'timeoutMs' | 'maxResponseBytes'
>

/** The default of `remote.maxResponseBytes`. */
export const maxResponseBytes = 64 * 1_048_576

/** Checks `remote.url`. Throws `invalid_argument`. */
export function checkUrl(url: unknown): string {
  const text = isA(url, 'URL') ? url.href : url
  try {
    if (typeof text === 'string' && /^https?:$/.test(new URL(text).protocol)) return text
  } catch {
    // The throw below reports it.
  }
  throw invalid("remote.url must be an http or https URL, as 'https://<project>.supabase.co'", {
    details: { option: 'remote.url' },
  })
}

/** A response of the remote. */
export class RestAnswer {
  readonly status: number
  readonly ok: boolean
  readonly #text: string
  readonly #secrets: Secrets

  constructor(answer: HttpResponse, secrets: Secrets) {
    this.status = answer.status
    this.ok = isOk(answer)
    this.#text = new TextDecoder().decode(answer.body ?? undefined)
    this.#secrets = secrets
  }

  /** Parses the body. Throws `sync_protocol` when it isn't JSON. */
  json(): unknown {
    try {
      return JSON.parse(this.#text)
    } catch {
      // The parser's error is dropped: it quotes the body.
      throw new TidelockError('sync_protocol', "The remote's response is not JSON", {
        hint: 'remote.url should be a Supabase project or a PostgREST root',
        details: { status: this.status },
      })
    }
  }

  /** Returns message and code of an error response of PostgREST or Supabase, with credentials masked. */
  said(): { message?: string; code?: string } {
    if (this.ok) return {}
    try {
      const { message, code } = this.json() as Record<string, unknown>
      return {
        ...(typeof message === 'string' ? { message: this.#secrets.mask(message) } : {}),
        ...(typeof code === 'string' ? { code: this.#secrets.mask(code) } : {}),
      }
    } catch {
      return { message: this.#secrets.mask(this.#text).slice(0, 200) }
    }
  }
}

/**
 * Calls `accessToken` and checks the token; returns undefined when no user is signed in. Rejects with `sync_unauthorized` when the function
 * fails, and with `invalid_argument` for a value that isn't a token, or a token that isn't allowed here.
 */
export async function tokenOf({ accessToken }: Pick<RemoteEndpoint, 'accessToken'>): Promise<string | undefined> {
  let token: unknown
  try {
    token = await accessToken?.()
  } catch (thrown) {
    // The error itself is dropped: it may contain the credentials that the function was to renew.
    throw new TidelockError('sync_unauthorized', 'Getting the access token failed', {
      cause: thrown instanceof Error ? thrown.name : 'no Error',
      hint: 'Sign in again, or return null to use the key alone; log the error inside the function',
    })
  }
  if (token === undefined || token === null) return undefined
  if (typeof token !== 'string')
    throw invalid('accessToken() must return a string or null', { hint: "Return the session's access_token" })
  checkHeader('The token of accessToken()', token, mayHoldSecrets())
  return token
}

/** Returns the `remote.url` for the target of a redirect of `root/path`; undefined for a target of another path. `isTried`: the root was one of two. */
function rootOf(location: string, root: string, path: string, isTried: boolean): string | undefined {
  const [requested, from] = [new URL(`${root}/${path}`).pathname, new URL(root).pathname]
  const end = requested.slice(from.replace(/\/$/, '').length)
  if (!location.endsWith(end)) return undefined
  const found = location.slice(0, location.length - end.length)
  return isTried ? found.replace(/\/rest\/v1$/, '') : found
}

/** The codes with which PostgREST itself, and no gateway or other path, says that it has no such table or function. */
const unknownNames = ['42P01', 'PGRST205', '42883', 'PGRST202']

/**
 * Sends a single `GET` outside of the sync. A URL without a path is tried as a Supabase project first, then as a PostgREST root, as a pull
 * does. Resolves with a response of any status. Rejects with `sync_network`, with `sync_protocol` for a redirect or a body larger than
 * `maxResponseBytes`, and with `invalid_argument` for credentials that aren't allowed here.
 */
export async function getRest(remote: RestEndpoint, path: string): Promise<RestAnswer> {
  checkHeader('remote.key', remote.key, mayHoldSecrets())
  checkHeaders('remote.headers', remote.headers ?? {}, mayHoldSecrets())
  const token = (await tokenOf(remote)) ?? (isJwt(remote.key) ? remote.key : undefined)
  const headers = {
    apikey: remote.key,
    'accept-profile': remote.schema ?? 'public',
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...remote.headers,
  }
  const secrets = new Secrets(headers)
  const url = new URL(checkUrl(remote.url))
  const root = url.href.replace(/\/+$/, '')
  const roots = url.pathname === '/' ? [`${root}/rest/v1`, root] : [root]
  const maxBytes = remote.maxResponseBytes ?? maxResponseBytes
  let missing: RestAnswer | undefined
  for (const each of roots) {
    let answer: HttpResponse
    try {
      const signal = AbortSignal.timeout(remote.timeoutMs ?? 30_000)
      answer = await request(`${each}/${path}`, { headers, signal, maxBytes, cache: 'no-store' }, remote.fetch)
    } catch (thrown) {
      throw new TidelockError('sync_network', `${url.host} can't be reached`, {
        cause: secrets.maskError(thrown),
        hint: 'Is the URL right, is there a network, and does the server allow requests from this page (CORS)?',
      })
    }
    const moved = redirectError(url.host, 'remote.url', answer, (location) =>
      rootOf(location, each, path, roots.length > 1),
    )
    if (moved !== undefined) throw moved
    if (answer.body === null) {
      throw new TidelockError(
        'sync_protocol',
        `The response of ${url.host} exceeds remote.maxResponseBytes (${maxBytes} bytes)`,
        {
          details: { limit: maxBytes },
          hint: 'Raise remote.maxResponseBytes',
        },
      )
    }
    const given = new RestAnswer(answer, secrets)
    if (given.status !== 404 || unknownNames.includes(given.said().code ?? '')) return given
    missing ??= given
  }
  return missing as RestAnswer
}
