import { TidelockError } from '../../base/errors.js'

// A byte order mark at the start of a value is data.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/** Up to this many bytes, calling the decoder takes longer than decoding in a loop. */
const shortBytes = 96

const codes: number[] = []

/** Decodes valid UTF-8. Throws `out_of_memory` when the text exceeds the longest string. */
export function decodeText(bytes: Uint8Array<ArrayBuffer>, start: number, end: number): string {
  if (start === end) return ''
  if (end - start <= shortBytes) return decodeShort(bytes, start, end)
  let text = ''
  let cause: unknown
  try {
    text = decoder.decode(bytes.subarray(start, end))
  } catch (error) {
    cause = error
  }
  // For a text that exceeds the longest string, browsers throw various errors; Chromium returns an empty string.
  if (text === '') {
    throw new TidelockError('out_of_memory', 'The texts of this result are longer than a string can be', {
      hint: 'Read fewer rows at once',
      cause,
    })
  }
  return text
}

function decodeShort(bytes: Uint8Array, start: number, end: number): string {
  let units = 0
  for (let at = start; at < end; ) {
    const lead = bytes[at++] as number
    if (lead < 0x80) {
      codes[units++] = lead
      continue
    }
    let code = lead < 0xe0 ? lead & 0x1f : lead < 0xf0 ? lead & 0x0f : lead & 0x07
    for (let more = lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3; more > 0; more--) {
      code = (code << 6) | ((bytes[at++] as number) & 0x3f)
    }
    if (code > 0xffff) {
      codes[units++] = 0xd7c0 + (code >> 10)
      code = 0xdc00 | (code & 0x3ff)
    }
    codes[units++] = code
  }
  codes.length = units
  return String.fromCharCode.apply(null, codes)
}
