import { isA } from '../base/brand.js'
import { invalid, TidelockError } from '../base/errors.js'
import { fileBytes, isBlob, viewOf } from '../base/file-bytes.js'
import { type HttpRequest, type HttpResponse, isOk, placeOf, redirectError, request } from '../remote/request.js'
import type { OpenOptions } from './options.js'

/** The slowest transfer of a seed before it is cancelled. A timeout would be wrong, because a seed may be large. */
const slowest = { bytes: 16_384, ms: 30_000 }

type Seed = NonNullable<OpenOptions['seed']>

/**
 * Loads the bytes of a seed, from a URL at most `maxBytes`. Rejects with `database_too_large` for more bytes, with `sync_network` when they
 * can't be fetched or arrive more slowly than `rate`, with `sync_protocol` for a redirect, and with `invalid_argument` when the function
 * fails or returns other values.
 */
export async function loadSeed(
  seed: Seed,
  signal: AbortSignal | undefined,
  maxBytes = 2 ** 30,
  rate = slowest,
): Promise<Uint8Array<ArrayBuffer>> {
  if (typeof seed === 'function') {
    let bytes: unknown
    try {
      bytes = await seed()
    } catch (cause) {
      throw invalid('The function seed failed', {
        hint: 'cause is the error that it threw',
        cause,
        details: { option: 'seed' },
      })
    }
    return fileBytes('The result of the function seed', bytes)
  }
  if (typeof seed !== 'string' && !isA(seed, 'URL'))
    return isBlob(seed) ? fileBytes('seed', seed) : viewOf('seed', seed)
  return fetchSeed(seed, { signal, maxBytes, rate })
}

async function fetchSeed(url: string | URL, init: HttpRequest): Promise<Uint8Array<ArrayBuffer>> {
  const { maxBytes } = init
  // The query may hold a signature.
  const details = { url: placeOf(url, globalThis.location?.href) }
  let answer: HttpResponse
  try {
    answer = await request(url, init)
  } catch (cause) {
    throw new TidelockError('sync_network', 'The seed could not be fetched', {
      hint: 'Is the URL right, is there a network, and does the server allow requests from this page (CORS)?',
      cause,
      details,
    })
  }
  const moved = redirectError('The seed', 'seed', answer)
  if (moved !== undefined) throw moved
  if (!isOk(answer)) {
    throw new TidelockError(
      'sync_network',
      `The seed could not be fetched: the server answered with status ${answer.status}`,
      {
        hint: 'Check the URL of the option seed',
        details: { ...details, status: answer.status },
      },
    )
  }
  if (answer.body === null) {
    throw new TidelockError('database_too_large', `The seed exceeds maxBytes (${maxBytes} bytes)`, {
      hint: 'Open the database with a larger maxBytes',
      details: { ...details, maxBytes },
    })
  }
  return answer.body
}
