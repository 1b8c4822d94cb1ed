// node scripts/split/trim.mjs IN.wasm GLUE.js OUT.wasm: removes the exports that the glue doesn't use, so that wasm-opt can remove the
// functions that only they keep alive, and the custom sections of the linker.

import { readFileSync, writeFileSync } from 'node:fs'
import { encode, Reader, sectionsOf } from '../wasm-bytes.mjs'

const [source, gluePath, target] = process.argv.slice(2)
const wasm = readFileSync(source)
const glue = readFileSync(gluePath, 'utf8')
const used = new Set([...glue.matchAll(/\bwasm\.(\w+)/g)].map(([, name]) => name))

const kept = [wasm.subarray(0, 8)]
for (const { id, name, header, body, end } of sectionsOf(wasm)) {
  if (id === 7) {
    const reader = new Reader(wasm, body)
    const exports = reader.list(() => {
      const from = reader.at
      const called = reader.text()
      reader.byte() // the kind
      reader.number()
      return used.has(called) ? [wasm.subarray(from, reader.at)] : []
    })
    const content = Buffer.concat([Buffer.from(encode(exports.flat().length)), ...exports.flat()])
    kept.push(Buffer.from([7, ...encode(content.length)]), content)
  } else if (id !== 0 || name === 'name') kept.push(wasm.subarray(header, end))
}
writeFileSync(target, Buffer.concat(kept))
