// node scripts/size-by-module.mjs [PATTERN]
//
// Where the wasm's bytes come from: the code of each crate and tidelock module before wasm-opt, with the generic functions that it
// instantiates; with a PATTERN (a regular expression, like 'btree' or 'slice::sort'), the functions whose names match.
// For names with their type parameters build with RUSTFLAGS=-Csymbol-mangling-version=v0.

import { readFileSync } from 'node:fs'

const bytes = readFileSync(new URL('../.cache/glue/tidelock_bg.wasm', import.meta.url))
const pattern = process.argv[2] && new RegExp(process.argv[2])

const totals = new Map()
for (const { name, size } of functions()) {
  if (pattern && !pattern.test(name)) continue
  const owner = pattern ? name : ownerOf(name)
  const total = totals.get(owner) ?? { size: 0, count: 0 }
  totals.set(owner, { size: total.size + size, count: total.count + 1 })
}
for (const [owner, { size, count }] of [...totals].sort(([, a], [, b]) => b.size - a.size).slice(0, 60)) {
  console.log(`${String(size).padStart(9)} ${String(count).padStart(5)}  ${owner}`)
}

/** The first tidelock module that a name mentions, else its crate; C functions have no path. */
function ownerOf(name) {
  if (!name.includes('::')) return 'SQLite and other C'
  return name.match(/tidelock::\w+/)?.[0] ?? name.match(/\w+/)[0]
}

function functions() {
  const sizes = []
  const names = new Map()
  let at = 8
  const number = () => {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]
      value |= (byte & 127) << shift
      if (byte < 128) return value >>> 0
    }
  }
  const text = () => {
    const length = number()
    at += length
    return bytes.toString('utf8', at - length, at)
  }
  const list = (read) => {
    for (let left = number(); left > 0; left--) read()
  }
  while (at < bytes.length) {
    const id = bytes[at++]
    const end = number() + at
    // 10: code, 0: custom, of which the "name" section's subsection 1 has the functions' names.
    if (id === 10) {
      list(() => {
        const size = number()
        sizes.push(size)
        at += size
      })
    } else if (id === 0 && text() === 'name') {
      while (at < end) {
        const kind = bytes[at++]
        const next = number() + at
        if (kind === 1) list(() => names.set(number(), text()))
        at = next
      }
    }
    at = end
  }
  const imported = WebAssembly.Module.imports(new WebAssembly.Module(bytes)).filter(
    ({ kind }) => kind === 'function',
  ).length
  const bare = (name) => name.replace(/\[[0-9a-f]{8,16}\]/g, '').replace(/::h[0-9a-f]{16}$/, '')
  return sizes.map((size, i) => ({ size, name: bare(names.get(imported + i) ?? '?') }))
}
