// Assigns the bytes of memory to the parts.

/** Up to this many zeros between two pieces compress better than the address and length of another segment. */
const GAP = 128

/**
 * `fields`: the active segments of the module in text form; `data`: the position in memory of each data node; `home`: the part of a node, or
 * the core, or nothing when nothing refers to it. Returns the segments of each part. The core has the rest, with zeros in place of the
 * parts' bytes, which a part overwrites when it is loaded.
 */
export function divideData(fields, data, home) {
  const segments = Object.fromEntries(['core', ...new Set(home.values())].map((part) => [part, []]))
  for (const field of fields) {
    const [, address, text] = field.match(/^ \(data \S+ \(i32\.const (\d+)\) "(.*)"\)$/s)
    const bytes = parseBytes(text)
    const base = Number(address)

    // Unnamed bytes belong to the core, as do bytes of several nodes with different homes.
    const owners = new Array(bytes.length).fill(undefined)
    for (const { node, start, end } of data) {
      if (start < base || start >= base + bytes.length) continue
      const owner = home.get(node) ?? 'nowhere'
      for (let at = start - base; at < end - base; at++)
        owners[at] = owners[at] === undefined || owners[at] === owner ? owner : 'core'
    }
    for (const [part, found] of Object.entries(segments)) {
      const isOwn = (at) => owners[at] === part || (part === 'core' && owners[at] === undefined)
      const own = bytes.map((byte, at) => (isOwn(at) ? byte : 0))
      const isFree = (at) => part === 'core' || isOwn(at) || (owners[at] === undefined && bytes[at] === 0)
      for (const { start, end } of pieces(own, isFree)) found.push(write(base + start, own.subarray(start, end)))
    }
  }
  return segments
}

/** Returns the ranges of bytes that are not zero, joined over short gaps that are free. */
function pieces(bytes, isFree) {
  const found = []
  for (const [at, byte] of bytes.entries()) {
    if (byte === 0) continue
    const last = found.at(-1)
    const gap = last && Array.from({ length: at - last.end }, (_, i) => last.end + i)
    if (gap?.length <= GAP && gap.every(isFree)) last.end = at + 1
    else found.push({ start: at, end: at + 1 })
  }
  return found
}

function parseBytes(text) {
  const escapes = { t: 9, n: 10, r: 13, '"': 34, "'": 39, '\\': 92 }
  const bytes = []
  for (let at = 0; at < text.length; at++) {
    if (text[at] !== '\\') bytes.push(text.charCodeAt(at))
    else if (text[at + 1] in escapes) bytes.push(escapes[text[++at]])
    else {
      bytes.push(Number.parseInt(text.slice(at + 1, at + 3), 16))
      at += 2
    }
  }
  return Buffer.from(bytes)
}

function write(address, bytes) {
  const text = [...bytes].map((byte) => `\\${byte.toString(16).padStart(2, '0')}`).join('')
  return ` (data (i32.const ${address}) "${text}")`
}
