import { TidelockError } from './package.js'

/** The body of an error response, in PostgREST's form. */
export interface RemoteErrorBody {
  readonly code?: string
  readonly message?: string
  readonly details?: string
  readonly hint?: string
}

const fields = ['code', 'message', 'details', 'hint'] as const
/** The longest error response that is read, in bytes, and the longest text in it that is shown, in characters. */
const maxBytes = 65_536
const maxLength = 1000

/** Remembers the last error response of a remote: errors of the sync have only its message, while its hint often is the answer. */
export class RemoteListener {
  #last: RemoteErrorBody | undefined

  /** The `fetch` of the remote. Returns the response with the body that was read. */
  readonly fetch: typeof fetch = async (input, init) => {
    const response = await fetch(input, init)
    if (response.status < 400 || response.body === null) return response
    const bytes = await beginning(response.body)
    this.#last = parseError(new TextDecoder().decode(bytes)) ?? this.#last
    const { status, statusText, headers } = response
    return new Response(bytes, { status, statusText, headers })
  }

  /** Returns an error of the sync with the remote's last error in its details; another error unchanged. */
  explain(error: TidelockError): TidelockError {
    if (this.#last === undefined || !error.code.startsWith('sync_')) return error
    const { code, message, hint, details, cause } = error
    return new TidelockError(code, message, { hint, cause, details: { ...details, remote: this.#last } })
  }
}

/** Returns the remote's error in the details of an error. */
export function remoteErrorOf({ details }: TidelockError): RemoteErrorBody | undefined {
  return details.remote as RemoteErrorBody | undefined
}

function parseError(body: string): RemoteErrorBody | undefined {
  try {
    const found = JSON.parse(body) as Record<string, unknown> | null
    const said = fields.flatMap((field) => {
      const text = found?.[field]
      return typeof text === 'string' && text !== '' ? [[field, text.slice(0, maxLength)]] : []
    })
    return said.length === 0 ? undefined : Object.fromEntries(said)
  } catch {
    return undefined
  }
}

/** Reads the beginning of a body; cancels the rest of a longer one. */
async function beginning(body: ReadableStream<Uint8Array>): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = []
  let length = 0
  const reader = body.getReader()
  while (length < maxBytes) {
    const { done, value } = await reader.read()
    if (done) break
    chunks.push(value)
    length += value.length
  }
  if (length >= maxBytes) await reader.cancel().catch(() => {})
  const bytes = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return bytes
}
