import { isA } from './brand.js'
import { invalid, TidelockError } from './errors.js'
import { fileBytes, isBlob, viewOf } from './file-bytes.js'
import type { OpenOptions } from './options.js'

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
 * The bytes of a seed. Rejects with `sync_network` when they can't be fetched, and with `invalid_argument` when the function
 * fails or gives something else.
 */
export async function loadSeed(seed: Seed, signal: AbortSignal | undefined): Promise<Uint8Array<ArrayBuffer>> {
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
  return fetched(seed, signal)
}

async function fetched(url: string | URL, signal: AbortSignal | undefined): Promise<Uint8Array<ArrayBuffer>> {
  const details = { url: String(url) }
  let response: Response
  try {
    response = await fetch(url, signal === undefined ? {} : { signal })
    if (response.ok) return new Uint8Array(await response.arrayBuffer())
  } catch (cause) {
    throw new TidelockError('sync_network', 'The seed could not be fetched', {
      hint: 'Is the URL right, is there a network, and does the server allow requests from this page (CORS)?',
      cause,
      details,
    })
  }
  throw new TidelockError('sync_network', `The seed could not be fetched: the answer was ${response.status}`, {
    hint: 'Check the URL given as seed',
    details: { ...details, status: response.status },
  })
}
