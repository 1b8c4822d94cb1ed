// node scripts/split/mark.mjs BUILD NAMED_DIR FILE.wasm...: removes the names of functions from each file, and writes a copy with names into
// NAMED_DIR: apps don't download names. Both contain the id of their build (the custom section `build`), because a page that was loaded
// before a deployment must not load a part of the next build, and the name of the module, which stacks show.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { customSection, demangle, functionNames, nameSection, sectionsOf } from '../wasm-bytes.mjs'

const [build, namedDir, ...paths] = process.argv.slice(2)
mkdirSync(namedDir, { recursive: true })
for (const path of paths) {
  const wasm = readFileSync(path)
  const code = sectionsOf(wasm)
    .filter(({ name }) => name !== 'name')
    .map(({ header, end }) => wasm.subarray(header, end))
  const functions = [...functionNames(wasm)]
  // Removes the prefix of scripts/order.mjs, which imported functions don't have.
  const names = demangle(functions.map(([, name]) => name.replace(/^\d{6} /, '')))
  const named = new Map(functions.map(([index], at) => [index, names[at]]))
  const write = (target, functions) => {
    const marks = [nameSection(basename(path, '.wasm'), functions), customSection('build', Buffer.from(build))]
    writeFileSync(target, Buffer.concat([wasm.subarray(0, 8), ...code, ...marks]))
  }
  write(path, new Map())
  write(join(namedDir, basename(path)), named)
}
