// Rust's names as one reads them.

/**
 * `_ZN4core3fmt5write17h0123456789abcdefE` → `core::fmt::write`; of the newer kind, `_R...`, the identifiers in their order, without
 * what tells generics from paths; any other name as it is.
 */
export function demangle(name) {
  const legacy = /^_ZN(.*)E/.exec(name)?.[1]
  if (legacy !== undefined) return ofLegacy(legacy)
  return name.startsWith('_R') ? ofNew(name) : name
}

function ofLegacy(mangled) {
  const parts = []
  let at = 0
  for (;;) {
    const length = /^\d+/.exec(mangled.slice(at))?.[0]
    if (!length) break
    at += length.length
    parts.push(mangled.slice(at, at + Number(length)))
    at += Number(length)
  }
  if (/^h[0-9a-f]{16}$/.test(parts.at(-1) ?? '')) parts.pop()
  const escapes = { SP: '@', BP: '*', RF: '&', LT: '<', GT: '>', LP: '(', RP: ')', C: ',' }
  return parts
    .join('::')
    .replace(/\$(\w+?)\$/g, (all, code) => {
      if (code in escapes) return escapes[code]
      return /^u[0-9a-f]+$/.test(code) ? String.fromCodePoint(Number.parseInt(code.slice(1), 16)) : all
    })
    .replaceAll('..', '::')
    .replaceAll('_<', '<')
}

function ofNew(mangled) {
  const parts = []
  let crate = -1 // where the last crate stands: one at the very end only says which crate made the instance
  let at = 2
  while (at < mangled.length) {
    const rest = mangled.slice(at)
    // A disambiguator, or a reference back: numbers to base 62, up to an underscore.
    const skipped = /^[sB][0-9a-zA-Z]*_/.exec(rest)?.[0]
    const length = /^\d+/.exec(rest)?.[0]
    if (skipped) at += skipped.length
    else if (length) {
      at += length.length
      if (mangled[at] === '_') at++
      parts.push(mangled.slice(at, at + Number(length)))
      at += Number(length)
    } else {
      if (rest[0] === 'C') crate = parts.length
      at++
    }
  }
  if (crate > 0 && crate === parts.length - 1) parts.pop()
  return parts.join('::')
}
