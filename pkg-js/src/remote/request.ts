import { TidelockError } from '../base/errors.js'
import { joined } from '../base/file-bytes.js'
import type { Fetch } from '../base/host-types.js'
import type { Bytes } from '../base/values.js'
import { checkHeaders, type Headers, Secrets } from './secrets.js'

/** What {@link request} sends, and how much of the response it reads. */
export interface HttpRequest {
  readonly method?: string
  readonly headers?: Headers
  readonly body?: BodyInit
  readonly cache?: RequestCache
  readonly signal?: AbortSignal | undefined
  /** The largest body that is read, in bytes. */
  readonly maxBytes: number
  /** Cancels a request of which fewer than `bytes` bytes arrive in `ms` milliseconds, the wait for the response included. */
  readonly rate?: { readonly bytes: number; readonly ms: number }
}

/** A complete response as plain data, which can be posted to other threads. */
export interface HttpResponse {
  readonly status: number
  /** Headers, with names in lower case. The `location` of a redirect is absolute and ends with the path; pages can't see it. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  /** null when it is larger than {@link HttpRequest.maxBytes}. */
  readonly body: Bytes | null
}

/** The detail of a `request` event: a request to the remote, after its end. It has no contents, keys or tokens. */
export interface RequestEvent {
  /** When it was sent, as ISO 8601 in UTC. */
  readonly at: string
  /** How long it took, with the whole body, in milliseconds. */
  readonly ms: number
  readonly method: string
  /** The address without its query, which may have values of rows. */
  readonly url: string
  /** The status of the response; null: none arrived. */
  readonly status: number | null
  /** How many rows were read; null: none were asked for, or the response doesn't say it. */
  readonly rows: number | null
  /** The bytes of the body that was sent. */
  readonly sentBytes: number
  /** The bytes of the body that arrived, decompressed. */
  readonly receivedBytes: number
  /** Why no whole response arrived: a message, without credentials; else null. */
  readonly error: string | null
}

/** What {@link traced} sends a request with, and where it reports it. */
export interface Tracing {
  readonly fetch?: (url: string, asking: HttpRequest) => Promise<HttpResponse>
  handle(event: { readonly type: 'request'; readonly detail: RequestEvent }): void
}

/** The longest body of an error response that is read, in bytes. */
const maxErrorBytes = 1_048_576

/** Sends a request of the engine, with the user's `fetch` if there is one, and reports it as a `request` event after its end. */
export async function traced(url: string, asking: HttpRequest, to: Tracing): Promise<HttpResponse> {
  const [at, began] = [new Date().toISOString(), performance.now()]
  const { method = 'GET', body, maxBytes } = asking
  const report = (outcome: Pick<RequestEvent, 'status' | 'rows' | 'receivedBytes' | 'error'>) => {
    const sentBytes = body instanceof Uint8Array ? body.length : 0
    const ms = Math.round((performance.now() - began) * 10) / 10
    to.handle({ type: 'request', detail: { at, ms, method, url: placeOf(url), sentBytes, ...outcome } })
  }
  try {
    const answer = await (to.fetch ?? request)(url, asking)
    report({
      status: answer.status,
      rows: rowsOf(answer, method),
      receivedBytes: answer.body?.length ?? 0,
      error: answer.body === null ? `The response has more than ${maxBytes} bytes` : null,
    })
    return answer
  } catch (thrown) {
    const error = asking.signal?.aborted
      ? 'It was cancelled, or took too long'
      : String((thrown as Error | undefined)?.message ?? thrown)
    report({ status: null, rows: null, receivedBytes: 0, error })
    throw thrown
  }
}

/** The number of rows that were read, by the header `content-range`: `0-24/*` are 25, and a star instead is none. */
function rowsOf({ headers }: HttpResponse, method: string): number | null {
  if (method !== 'GET') return null
  const [, range] = headers.find(([name]) => name === 'content-range') ?? []
  const [, first, last] = range?.match(/^(\d+)-(\d+)\//) ?? []
  return first !== undefined ? Number(last) - Number(first) + 1 : range?.startsWith('*/') ? 0 : null
}

/**
 * Sends one request; every request of tidelock goes through here. Redirects are not followed, because they would send credentials and data
 * to another host, and may turn a `POST` into a `GET`: they are returned as responses of status 3xx. `own` is the user's `fetch`.
 *
 * Rejects with the error of `fetch`, with credentials masked, and with `invalid_argument` for an invalid header.
 */
export async function request(url: string | URL, asking: HttpRequest, own?: Fetch): Promise<HttpResponse> {
  const { maxBytes, headers = {}, signal, rate, ...init } = asking
  checkHeaders('headers', headers)
  const watch = rate === undefined ? undefined : new RateWatch(rate, signal)
  const ended = watch?.signal ?? signal
  // Only redirects and failures need them.
  const secrets = () => new Secrets(headers, String(url))
  const all: RequestInit = { ...init, headers, redirect: 'manual', ...(ended === undefined ? {} : { signal: ended }) }
  try {
    const response = await (own === undefined ? fetch(url, all) : own(url, all))
    const moved = redirection(response, url, secrets)
    if (moved !== undefined) {
      await response.body?.cancel?.().catch(() => {})
      return moved
    }
    const refused = response.status >= 400
    const limit = refused ? Math.min(maxBytes, maxErrorBytes) : maxBytes
    const body = await bodyOf(response, limit, refused, (bytes) => watch?.received(bytes))
    return { status: response.status, headers: [...response.headers], body }
  } catch (thrown) {
    if (signal?.aborted) throw thrown
    throw secrets().maskError(thrown)
  } finally {
    watch?.stop()
  }
}

/** Cancels a request whose response arrives too slowly. */
class RateWatch {
  readonly #abort = new AbortController()
  readonly #timer: ReturnType<typeof setInterval>
  readonly #outer: AbortSignal | undefined
  #received = 0

  constructor({ bytes, ms }: NonNullable<HttpRequest['rate']>, outer: AbortSignal | undefined) {
    this.#outer = outer
    outer?.addEventListener('abort', this.#follow)
    if (outer?.aborted) this.#follow()
    this.#timer = setInterval(() => {
      if (this.#received < bytes) this.#abort.abort(new Error(`Fewer than ${bytes} bytes arrived in ${ms / 1000} s`))
      this.#received = 0
    }, ms)
  }

  readonly #follow = () => this.#abort.abort(this.#outer?.reason)

  /** The signal of the request: aborted when it is too slow, or by the caller's signal. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  received(bytes: number): void {
    this.#received += bytes
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#outer?.removeEventListener('abort', this.#follow)
  }
}

/**
 * Returns a redirect as a response. Pages see only that there is a redirect; a user's `fetch` may have followed it. The target may repeat
 * the request's secrets.
 */
function redirection(response: Response, url: string | URL, secrets: () => Secrets): HttpResponse | undefined {
  const { status, type, redirected } = response
  const moved = status >= 300 && status < 400
  if (!moved && type !== 'opaqueredirect' && !redirected) return undefined
  const location = redirected ? response.url : response.headers.get('location')
  const place = location ? secrets().mask(placeOf(location, url)) : undefined
  return {
    status: moved ? status : 302,
    headers: place === undefined ? [] : [['location', place]],
    body: new Uint8Array(),
  }
}

/** Returns a URL without query and fragment, which may hold secrets. */
export function placeOf(url: string | URL, base?: string | URL): string {
  try {
    const { protocol, host, pathname } = new URL(url, base)
    return `${protocol}//${host}${pathname}`
  } catch {
    return String(url)
      .replace(/[?#].*$/s, '')
      .replace(/\/\/[^/]*@/, '//')
  }
}

/**
 * Reads the body. For one larger than `limit` bytes it returns null, or with `truncate` the first `limit` bytes. Calls `received` with the
 * size of each piece.
 */
async function bodyOf(
  response: Response,
  limit: number,
  truncate: boolean,
  received: (bytes: number) => void,
): Promise<Bytes | null> {
  const { body } = response
  if (typeof body?.getReader !== 'function') {
    // The responses of a user's own fetch may lack streams.
    const bytes = new Uint8Array(await response.arrayBuffer())
    return bytes.length <= limit ? bytes : truncate ? bytes.slice(0, limit) : null
  }
  const reader = body.getReader()
  const pieces: Uint8Array[] = []
  let total = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return joined(pieces)
    pieces.push(value)
    total += value.length
    received(value.length)
    if (total > limit) {
      reader.cancel().catch(() => {})
      return truncate ? joined(pieces).slice(0, limit) : null
    }
  }
}

/** Returns whether the status is 2xx. */
export function isOk({ status }: HttpResponse): boolean {
  return status >= 200 && status < 300
}

/**
 * Returns `sync_protocol` for a redirect, undefined for other responses. `option` names the URL of `what`. `optionOf` returns the value of the
 * option that would lead to the target at once; undefined: no value would.
 */
export function redirectError(
  what: string,
  option: string,
  answer: HttpResponse,
  optionOf: (location: string) => string | undefined = (location) => location,
): TidelockError | undefined {
  if (answer.status < 300 || answer.status >= 400) return undefined
  const [, location] = answer.headers.find(([name]) => name === 'location') ?? []
  const instead = location && optionOf(location)
  return new TidelockError('sync_protocol', `${what} redirects to ${location ?? 'another address'}`, {
    hint:
      instead === undefined
        ? `Open ${option} in a browser to see its target, such as https instead of http, or another host: redirects are not followed`
        : `Set ${option} to ${instead}: redirects are not followed, because another host would get the credentials`,
    details: { status: answer.status, ...(location === undefined ? {} : { location }) },
  })
}
