// node scripts/split/mark.mjs BUILD NAMED_DIR FILE.wasm...: leaves the names of functions out of each file, and writes the same with them into
// NAMED_DIR: what apps download does without. Both say which build they are of (the custom section `build`): a page that was loaded
// before a deployment must not take a part that came with it. And both have the module's name, which stacks then show.

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
  // Behind the place of scripts/order.mjs; imported ones have none.
  const names = demangle(functions.map(([, name]) => name.replace(/^\d{6} /, '')))
  const named = new Map(functions.map(([index], at) => [index, names[at]]))
  const write = (target, functions) => {
    const marks = [nameSection(basename(path, '.wasm'), functions), customSection('build', Buffer.from(build))]
    writeFileSync(target, Buffer.concat([wasm.subarray(0, 8), ...code, ...marks]))
  }
  write(path, new Map())
  write(join(namedDir, basename(path)), named)
}
