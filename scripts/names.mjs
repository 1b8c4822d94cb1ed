// node scripts/names.mjs [FILE]: adds the names of tidelock's functions to a stack from a file or standard input that has their numbers only
// (`tidelock_bg.wasm:wasm-function[123]`). The names are those of the current build: check out the version of the stack first.

import { existsSync, readFileSync } from 'node:fs'
import { functionNames } from './wasm-bytes.mjs'

const folder = new URL('../.cache/named/', import.meta.url)
const known = new Map()
function namesOf(part) {
  if (!known.has(part)) {
    const file = new URL(`tidelock_${part}.wasm`, folder)
    known.set(part, existsSync(file) ? functionNames(readFileSync(file)) : new Map())
  }
  return known.get(part)
}

// Browsers and bundlers insert their own text between the name of the file and the number of the function.
const call = /tidelock_([a-z0-9]+)\S*?wasm-function\[(\d+)\]/
let stack
try {
  stack = readFileSync(process.argv[2] ?? 0, 'utf8').trimEnd()
} catch (error) {
  console.error(`build.sh: names: ${error.message}`)
  process.exit(2)
}
for (const line of stack.split('\n')) {
  const [, part, index] = line.match(call) ?? []
  const name = part && namesOf(part).get(Number(index))
  console.log(name === undefined ? line : `${line}  ${name}`)
}
