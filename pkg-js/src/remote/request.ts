import { TidelockError } from '../base/errors.js'
import { joined } from '../base/file-bytes.js'
import { checkHeaders, type Headers, Secrets } from './secrets.js'

/** What {@link request} sends, and how much of an answer it reads. */
export interface Asking {
  readonly method?: string
  readonly headers?: Headers
  readonly body?: BodyInit
  readonly cache?: RequestCache
  readonly signal?: AbortSignal | undefined
  /** A body with more bytes than this is not read to its end. */
  readonly maxBytes: number
  /** What has no end of its own is ended when so many milliseconds bring fewer bytes than these, the wait for the answer included. */
  readonly pace?: { readonly bytes: number; readonly ms: number }
}

/** A complete answer, as plain data: it goes from thread to thread. */
export interface Answer {
  readonly status: number
  /** Names in lower case. The `location` of a redirect is absolute, without what stands behind its path; pages don't see it. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  /** null: it is larger than {@link Asking.maxBytes}. */
  readonly body: Uint8Array<ArrayBuffer> | null
}

/** As much of the message of a refusal as is read. */
const longestRefusal = 1_048_576

/**
 * Sends one request: all that tidelock sends go through here. Redirects are not followed, since another host would get credentials and
 * data, and a `POST` may come to be a `GET`: they are answers of status 301 to 308. `own` is a `fetch` of the user's.
 *
 * Rejects with what `fetch` throws, without the credentials that may be in it; with `invalid_argument` for what no header can have.
 */
export async function request(url: string | URL, asking: Asking, own?: typeof fetch): Promise<Answer> {
  const { maxBytes, headers = {}, signal, pace, ...init } = asking
  checkHeaders('headers', headers)
  const watch = pace === undefined ? undefined : new PaceWatch(pace, signal)
  const ended = watch?.signal ?? signal
  const all: RequestInit = { ...init, headers, redirect: 'manual', ...(ended === undefined ? {} : { signal: ended }) }
  try {
    const response = await (own === undefined ? fetch(url, all) : own(url, all))
    const moved = redirection(response, url)
    if (moved !== undefined) {
      await response.body?.cancel?.().catch(() => {})
      return moved
    }
    const refused = response.status >= 400
    const most = refused ? Math.min(maxBytes, longestRefusal) : maxBytes
    const body = await bodyOf(response, most, refused, (bytes) => watch?.came(bytes))
    return { status: response.status, headers: [...response.headers], body }
  } catch (thrown) {
    if (signal?.aborted) throw thrown
    throw new Secrets(headers, String(url)).maskError(thrown)
  } finally {
    watch?.stop()
  }
}

/** Ends a request whose answer comes too slowly. */
class PaceWatch {
  readonly #abort = new AbortController()
  readonly #timer: ReturnType<typeof setInterval>
  readonly #outer: AbortSignal | undefined
  #came = 0

  constructor({ bytes, ms }: NonNullable<Asking['pace']>, outer: AbortSignal | undefined) {
    this.#outer = outer
    outer?.addEventListener('abort', this.#follow)
    if (outer?.aborted) this.#follow()
    this.#timer = setInterval(() => {
      if (this.#came < bytes) this.#abort.abort(new Error(`Fewer than ${bytes} bytes came in ${ms / 1000} s`))
      this.#came = 0
    }, ms)
  }

  readonly #follow = () => this.#abort.abort(this.#outer?.reason)

  /** Aborted by that, and by the signal of the user. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  came(bytes: number): void {
    this.#came += bytes
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#outer?.removeEventListener('abort', this.#follow)
  }
}

/** A redirect as an answer, whoever noticed it: pages see that there is one and no more; a user's `fetch` may have followed it. */
function redirection(response: Response, url: string | URL): Answer | undefined {
  const { status, type, redirected } = response
  const moved = [301, 302, 303, 307, 308].includes(status)
  if (!moved && type !== 'opaqueredirect' && !redirected) return undefined
  const location = redirected ? response.url : response.headers.get('location')
  const place = location ? placeOf(location, url) : undefined
  return {
    status: moved ? status : 302,
    headers: place === undefined ? [] : [['location', place]],
    body: new Uint8Array(),
  }
}

/** An address without what stands behind its path, which may be a secret. */
export function placeOf(url: string | URL, base?: string | URL): string {
  try {
    const { protocol, host, pathname } = new URL(url, base)
    return `${protocol}//${host}${pathname}`
  } catch {
    return String(url).replace(/[?#].*$/s, '')
  }
}

/** The whole body; of one with more bytes than `most` nothing, or as much of it as that with `cut`. `came` is told what comes. */
async function bodyOf(
  response: Response,
  most: number,
  cut: boolean,
  came: (bytes: number) => void,
): Promise<Uint8Array<ArrayBuffer> | null> {
  const { body } = response
  if (typeof body?.getReader !== 'function') {
    // A fetch of the user's own may know no streams.
    const bytes = new Uint8Array(await response.arrayBuffer())
    return bytes.length <= most ? bytes : cut ? bytes.slice(0, most) : null
  }
  const reader = body.getReader()
  const pieces: Uint8Array[] = []
  let total = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return joined(pieces)
    pieces.push(value)
    total += value.length
    came(value.length)
    if (total > most) {
      reader.cancel().catch(() => {})
      return cut ? joined(pieces).slice(0, most) : null
    }
  }
}

/** Whether it succeeded. */
export function isOk({ status }: Answer): boolean {
  return status >= 200 && status < 300
}

/** What an answer that redirects is told as, undefined for others. `what` is asked for by `option`. */
export function movedError(what: string, option: string, answer: Answer): TidelockError | undefined {
  if (answer.status < 300 || answer.status >= 400) return undefined
  const [, location] = answer.headers.find(([name]) => name === 'location') ?? []
  return new TidelockError('sync_protocol', `${what} redirects to ${location ?? 'another address'}`, {
    hint:
      location === undefined
        ? `Open ${option} to see where it leads: https instead of http, or another host. Redirects are not followed`
        : `Give that address as ${option}: redirects are not followed, since another host would get what is sent`,
    details: { status: answer.status, ...(location === undefined ? {} : { location }) },
  })
}
