// Which part brings which bytes of memory.

/** Bytes between two pieces of one part that no symbol names are padding; up to so many, one segment costs less than two. */
const PADDING = 16

/**
 * `fields`: the module's active segments in text form; `data`: where in memory each node of data lies; `home`: to which part a node
 * belongs, or to the core, or nowhere (what nothing refers to). Gives the segments of each part, and of the core the rest, with zeros
 * where the parts' are: wasm-opt leaves those out.
 */
export function divideData(fields, data, home) {
  const segments = Object.fromEntries(['core', ...new Set(home.values())].map((part) => [part, []]))
  for (const field of fields) {
    const [, name, address, text] = field.match(/^ \(data (\S+) \(i32\.const (\d+)\) "(.*)"\)$/s)
    const bytes = parseBytes(text)
    const base = Number(address)

    // What nobody names is the core's, and so are bytes that lie in several nodes, if not all have one home.
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

/** The ranges of a part's bytes, zeros at their ends left out. */
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
