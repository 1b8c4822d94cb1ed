// Rust's names as one reads them.

/** `_ZN4core3fmt5write17h0123456789abcdefE` → `core::fmt::write`; any other name as it is. */
export function demangle(name) {
  const mangled = /^_ZN(.*)E/.exec(name)?.[1]
  if (mangled === undefined) return name
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
