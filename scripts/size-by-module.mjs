// node scripts/size-by-module.mjs [PATTERN]
//
// Where the wasm's bytes come from: the code of each crate and tidelock module before wasm-opt, with the generic functions that it
// instantiates; with a PATTERN (a regular expression, like 'btree' or 'slice::sort'), the functions whose names match.

import { readFileSync } from 'node:fs'
import { demangle, importedFunctions, Reader, sectionsOf } from './wasm-bytes.mjs'

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
  const names = new Map()
  let bodies = []
  for (const { id, name, body, end } of sectionsOf(bytes)) {
    const reader = new Reader(bytes, body)
    if (id === 10) bodies = reader.list(() => reader.range())
    // Its subsection 1 has the functions' names.
    while (name === 'name' && reader.at < end) {
      const kind = reader.byte()
      const part = reader.range()
      if (kind !== 1) continue
      reader.at = part.start
      reader.list(() => names.set(reader.number(), reader.text()))
    }
  }
  const imported = importedFunctions(bytes)
  const paths = demangle(bodies.map((_, index) => names.get(imported + index) ?? '?'))
  return bodies.map(({ start, end }, index) => ({ size: end - start, name: paths[index] }))
}
