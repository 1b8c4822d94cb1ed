// Assigns the bytes of memory to the parts.

/** Unnamed bytes between two pieces of one part are padding; up to this many, one segment is smaller than two. */
const PADDING = 16

/**
 * `fields`: the active segments of the module in text form; `data`: the position in memory of each data node; `home`: the part of a node, or
 * the core, or nothing when nothing refers to it. Returns the segments of each part, and for the core the rest, with zeros in place of the
 * parts' bytes, which wasm-opt omits.
 */
export function divideData(fields, data, home) {
  const segments = Object.fromEntries(['core', ...new Set(home.values())].map((part) => [part, []]))
  for (const field of fields) {
    const [, name, address, text] = field.match(/^ \(data (\S+) \(i32\.const (\d+)\) "(.*)"\)$/s)
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
    for (const part of Object.keys(segments)) {
      if (part === 'core') continue
      for (const { start, end } of pieces(owners, part, bytes))
        segments[part].push(write('', base + start, bytes.subarray(start, end)))
    }
    const rest = bytes.map((byte, at) => (owners[at] === 'core' || owners[at] === undefined ? byte : 0))
    segments.core.push(write(` ${name}`, base, rest))
  }
  return segments
}

/** Returns the ranges of a part's bytes, without zeros at their ends. */
function pieces(owners, part, bytes) {
  const found = []
  for (let at = 0; at < owners.length; at++) {
    if (owners[at] !== part || bytes[at] === 0) continue
    const last = found.at(-1)
    const gap = last && owners.slice(last.end, at)
    if (
      gap &&
      gap.length <= PADDING &&
      gap.every((owner, i) => owner === part || (!owner && bytes[last.end + i] === 0))
    )
      last.end = at + 1
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

function write(name, address, bytes) {
  const text = [...bytes].map((byte) => `\\${byte.toString(16).padStart(2, '0')}`).join('')
  return ` (data${name} (i32.const ${address}) "${text}")`
}
