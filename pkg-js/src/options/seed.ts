import { isA } from '../base/brand.js'
import { invalid, TidelockError } from '../base/errors.js'
import { fileBytes, isBlob, viewOf } from '../base/file-bytes.js'
import { type Answer, type Asking, isOk, movedError, placeOf, request } from '../remote/request.js'
import type { OpenOptions } from './options.js'

/** A seed that comes more slowly is given up: nothing else limits the time of a file that may be large. */
const slowest = { bytes: 16_384, ms: 30_000 }

type Seed = NonNullable<OpenOptions['seed']>

/** Checks the option `seed`. */
export function checkSeed(seed: unknown): void {
  const fits =
    (typeof seed === 'string' && seed !== '') ||
    typeof seed === 'function' ||
    isA(seed, 'URL', 'ArrayBuffer') ||
    ArrayBuffer.isView(seed) ||
    isBlob(seed)
  if (!fits) {
    throw invalid('seed must be a URL, bytes, a Blob or a function that gives bytes', { details: { option: 'seed' } })
  }
}

/**
 * The bytes of a seed, of one from a URL at most `maxBytes`: more is `database_too_large`. Rejects with `sync_network` when they can't be
 * fetched, or come more slowly than `pace`, with `sync_protocol` for a redirect, and with `invalid_argument` when the function fails or gives something else.
 */
export async function loadSeed(
  seed: Seed,
  signal: AbortSignal | undefined,
  maxBytes = 2 ** 30,
  pace = slowest,
): Promise<Uint8Array<ArrayBuffer>> {
  if (typeof seed === 'function') {
    let bytes: unknown
    try {
      bytes = await seed()
    } catch (cause) {
      throw invalid('The function given as seed failed', {
        hint: 'The cause is what it threw',
        cause,
        details: { option: 'seed' },
      })
    }
    return fileBytes('What the seed function gives', bytes)
  }
  if (typeof seed !== 'string' && !isA(seed, 'URL'))
    return isBlob(seed) ? fileBytes('seed', seed) : viewOf('seed', seed)
  return fetched(seed, { signal, maxBytes, pace })
}

async function fetched(url: string | URL, asking: Asking): Promise<Uint8Array<ArrayBuffer>> {
  const { maxBytes } = asking
  // What stands behind the path may be a signature.
  const details = { url: placeOf(url, globalThis.location?.href) }
  let answer: Answer
  try {
    answer = await request(url, asking)
  } catch (cause) {
    throw new TidelockError('sync_network', 'The seed could not be fetched', {
      hint: 'Is the URL right, is there a network, and does the server allow requests from this page (CORS)?',
      cause,
      details,
    })
  }
  const moved = movedError('The seed', 'seed', answer)
  if (moved !== undefined) throw moved
  if (!isOk(answer)) {
    throw new TidelockError('sync_network', `The seed could not be fetched: the answer was ${answer.status}`, {
      hint: 'Check the URL given as seed',
      details: { ...details, status: answer.status },
    })
  }
  if (answer.body === null) {
    throw new TidelockError('database_too_large', `The seed is larger than maxBytes (${maxBytes} bytes)`, {
      hint: 'Open it with a larger maxBytes',
      details: { ...details, maxBytes },
    })
  }
  return answer.body
}
