import { isA } from '../base/brand.js'
import { invalid, TidelockError } from '../base/errors.js'
import type { RemoteOptions } from './remote-options.js'
import { type Answer, isOk, movedError, request } from './request.js'
import { checkHeader, checkHeaders, isJwt, mayHoldSecrets, Secrets } from './secrets.js'

/** Where a REST API is, and how to get in. */
export type RestEndpoint = Pick<
  RemoteOptions,
  'url' | 'key' | 'accessToken' | 'schema' | 'fetch' | 'headers' | 'timeoutMs' | 'maxResponseBytes'
>

/** As much of one answer as is read, by default. */
export const maxResponseBytes = 64 * 1_048_576

/** Checks `remote.url`. Fails with `invalid_argument`. */
export function checkUrl(url: unknown): string {
  const text = isA(url, 'URL') ? url.href : url
  try {
    if (typeof text === 'string' && /^https?:$/.test(new URL(text).protocol)) return text
  } catch {
    // Refused below.
  }
  throw invalid("remote.url must be an http or https URL, as 'https://<project>.supabase.co'", {
    details: { option: 'remote.url' },
  })
}

/** What a remote answered. */
export class RestAnswer {
  readonly status: number
  readonly ok: boolean
  readonly #text: string
  readonly #secrets: Secrets

  constructor(answer: Answer, secrets: Secrets) {
    this.status = answer.status
    this.ok = isOk(answer)
    this.#text = new TextDecoder().decode(answer.body ?? undefined)
    this.#secrets = secrets
  }

  /** The body. Throws `sync_protocol` when it is no JSON. */
  json(): unknown {
    try {
      return JSON.parse(this.#text)
    } catch {
      // The parser's own words quote the body.
      throw new TidelockError('sync_protocol', 'The remote answered with something else than JSON', {
        hint: 'remote.url should be a Supabase project or a PostgREST root',
        details: { status: this.status },
      })
    }
  }

  /** What PostgREST and Supabase say in a refusal, without credentials. */
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
 * The user's token, checked; undefined: nobody is signed in. Rejects with `sync_unauthorized` when the function fails, and with
 * `invalid_argument` for what is no token to be used here.
 */
export async function tokenOf({ accessToken }: Pick<RemoteOptions, 'accessToken'>): Promise<string | undefined> {
  let token: unknown
  try {
    token = await accessToken?.()
  } catch (thrown) {
    // What it says may hold the very credentials that it was to renew.
    throw new TidelockError('sync_unauthorized', 'accessToken() failed', {
      cause: thrown instanceof Error ? thrown.name : 'no Error',
      hint: 'Sign in again, or let it return null for the key alone; log inside of it what it throws',
    })
  }
  if (token === undefined || token === null) return undefined
  if (typeof token !== 'string')
    throw invalid('accessToken() must give a string, or null', { hint: "Give the session's access_token" })
  checkHeader('The token of accessToken()', token, mayHoldSecrets())
  return token
}

/**
 * A single `GET` outside of any sync, for questions about a remote. A URL without a path is tried as a Supabase project's first, then as
 * PostgREST itself, as a pull does. Gives every answer, also one that refuses; rejects with `sync_network`, with `sync_protocol` for
 * a redirect and for more than `maxResponseBytes`, and with `invalid_argument` for credentials that can't be used here.
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
  let answer: Answer | undefined
  for (const each of roots) {
    try {
      const signal = AbortSignal.timeout(remote.timeoutMs ?? 30_000)
      answer = await request(`${each}/${path}`, { headers, signal, maxBytes, cache: 'no-store' }, remote.fetch)
    } catch (thrown) {
      throw new TidelockError('sync_network', `${url.host} can't be reached`, {
        cause: secrets.maskError(thrown),
        hint: 'Is the URL right, is there a network, and does the server allow requests from this page (CORS)?',
      })
    }
    const moved = movedError(url.host, 'remote.url', answer)
    if (moved !== undefined) throw moved
    if (answer.body === null) {
      throw new TidelockError(
        'sync_protocol',
        `The answer of ${url.host} is larger than remote.maxResponseBytes (${maxBytes} bytes)`,
        {
          details: { limit: maxBytes },
          hint: 'Raise remote.maxResponseBytes',
        },
      )
    }
    if (answer.status !== 404) break
  }
  return new RestAnswer(answer as Answer, secrets)
}
