// node scripts/split/trim.mjs IN.wasm GLUE.js OUT.wasm: leaves out the exports that the glue doesn't use, so that what only they keep
// alive can go, and the custom sections that told of the linking.

import { readFileSync, writeFileSync } from 'node:fs'

const [source, gluePath, target] = process.argv.slice(2)
const wasm = readFileSync(source)
const glue = readFileSync(gluePath, 'utf8')
const used = new Set([...glue.matchAll(/\bwasm\.(\w+)/g)].map(([, name]) => name))

let at = 8
const number = () => {
  for (let result = 0, shift = 0; ; shift += 7) {
    const byte = wasm[at++]
    result |= (byte & 127) << shift
    if (byte < 128) return result >>> 0
  }
}
const text = () => {
  const length = number()
  at += length
  return wasm.toString('utf8', at - length, at)
}
const encode = (value) => {
  const bytes = []
  for (; value > 127; value >>>= 7) bytes.push((value & 127) | 128)
  return Buffer.from([...bytes, value])
}

const kept = [wasm.subarray(0, 8)]
while (at < wasm.length) {
  const start = at
  const id = wasm[at++]
  const end = number() + at
  if (id === 7) {
    const exports = []
    for (let left = number(); left > 0; left--) {
      const from = at
      const name = text()
      at++ // the kind
      number()
      if (used.has(name)) exports.push(wasm.subarray(from, at))
    }
    const body = Buffer.concat([encode(exports.length), ...exports])
    kept.push(Buffer.from([7]), encode(body.length), body)
  } else if (id !== 0 || text() === 'name') kept.push(wasm.subarray(start, end))
  at = end
}
writeFileSync(target, Buffer.concat(kept))
