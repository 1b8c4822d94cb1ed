// node scripts/split.mjs LINKED.wasm MODULE.wat OUT_DIR
//
// Cuts a module into a core and parts that are loaded when they are first needed. A part contains the functions that only its entries in
// scripts/parts.json reach (exports of the module, or functions that are called through `parts::...`).
//
// LINKED is the module as linked with --emit-relocs, MODULE the same module after wasm-bindgen and wasm-opt, with function names. Writes
// OUT_DIR/core.wat and OUT_DIR/<part>.wat. A part imports memory, tables, globals and functions from the core only; when it is
// instantiated, it puts its own functions into the core's table. In the core, each entry is replaced by a call through that table.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { divideData } from './split/data.mjs'
import { readLinked } from './split/linked.mjs'
import { shortNames } from './split/names.mjs'
import { reach } from './split/reach.mjs'
import { parseModule } from './split/text.mjs'

const [linkedPath, modulePath, outDir] = process.argv.slice(2)
const module = parseModule(readFileSync(modulePath, 'utf8'))
const parts = JSON.parse(readFileSync(new URL('parts.json', import.meta.url), 'utf8'))
const linked = readLinked(linkedPath)
const { entries, home } = reach(module, linked, parts)
const isData = (field) => field.startsWith(' (data ')
const data = divideData(module.others.filter(isData), linked.data, home)

const functions = [...module.functions]
const names = shortNames(module)
const fromGlue = new Map(module.imports.map((each) => [each.name, `"js" "${names.imports[each.import]}"`]))

// The table positions of the functions of a part. Entries without a position get one at the end.
const slots = module.elements.flatMap(({ offset, names }) => names.map((name, index) => [offset + index, name]))
const table = module.others.find((field) => field.startsWith(' (table $0 '))
let tableSize = Number(table.match(/\d+/g)[1])
const slotOf = new Map()
for (const [slot, name] of slots) if (!slotOf.has(name)) slotOf.set(name, slot)
for (const name of entries.keys()) {
  if (slotOf.has(name)) continue
  slots.push([tableSize, name])
  slotOf.set(name, tableSize++)
}

// The exports of the core that the parts need, under short names.
const shared = new Map()
const share = (kind, name) => {
  if (kind === 'func' && fromGlue.has(name)) return fromGlue.get(name)
  // Functions are imported through the table, which costs fewer bytes than exports. Entries are not: their positions are filled later.
  if (kind === 'func' && !entries.has(name)) {
    if (!slotOf.has(name)) {
      slots.push([tableSize, name])
      slotOf.set(name, tableSize++)
    }
    return `"table" "${slotOf.get(name).toString(36)}"`
  }
  const as = name === '$0' ? '$table' : `$${shared.size.toString(36)}`
  if (!shared.has(name)) shared.set(name, { kind, as })
  return `"core" "${shared.get(name).as}"`
}
const list = (kind, types) => (types.length > 0 ? ` (${kind} ${types.join(' ')})` : '')
const shape = ({ parameters, results }) => list('param', parameters) + list('result', results)

for (const part of Object.keys(parts)) {
  const own = functions.filter(([name]) => home.get(name) === part)
  const ownNames = new Set(own.map(([name]) => name))
  const text = own.map(([, { field }]) => field).join('\n')
  const imports = [` (import "core" "memory" (memory 0))`]
  for (const field of module.others) {
    const [, kind, name, type] = field.match(/^ \((table|global) (\$\S+) (.*)$/s) ?? []
    if (kind === 'table')
      imports.push(` (import ${share(kind, name)} (table ${name} 0 ${type.match(/\w+(?=\)$)/)[0]}))`)
    if (kind === 'global' && text.includes(` ${name}`)) {
      imports.push(` (import ${share(kind, name)} (global ${name} ${type.match(/^(\(mut \w+\)|\w+)/)[0]}))`)
    }
  }
  const callees = new Set(own.flatMap(([, { callees }]) => [...callees]))
  for (const callee of callees) {
    if (ownNames.has(callee)) continue
    imports.push(` (import ${share('func', callee)} (func ${callee}${shape(signatureOf(callee))}))`)
  }
  const filled = slots.filter(([, name]) => ownNames.has(name)).sort(([a], [b]) => a - b)
  const fields = [...module.types, ...imports, ...runs(filled).map(elements), ...(data[part] ?? []), text]
  write(part, fields)
  console.log(
    `split: ${part} has ${own.length} functions of ${functions.length}, ${filled.length} in the table, ${data[part]?.length ?? 0} pieces of data`,
  )
}

// The core: thunks in place of the entries, and empty table positions for the parts' functions.
const kept = functions.filter(([name]) => home.get(name) === 'core').map(([, { field }]) => field)
for (const [name, { otherwise, exported }] of entries) {
  const { parameters, results } = module.functions.get(name)
  const gets = parameters.map((_, index) => `(local.get ${index})`).join(' ')
  const signature = shape({ parameters, results })
  kept.push(` (func ${name}${signature} (call_indirect $0${signature} ${gets} (i32.const ${slotOf.get(name)})))`)
  if (exported !== undefined) kept.push(` (export "${exported}" (func ${name}))`)
  if (otherwise !== undefined) kept.push(` (func ${placeholder(name)}${signature} (i32.const ${otherwise}))`)
}
kept.push(' (func $nowhere (unreachable))')
const inCore = (name) => {
  if (home.get(name) === 'core' || !module.functions.has(name)) return name
  return entries.get(name)?.otherwise === undefined ? '$nowhere' : placeholder(name)
}
const places = slots.map(([slot, name]) => [slot, inCore(name)]).sort(([a], [b]) => a - b)
write('core', [
  ...module.types,
  ...module.imports.map(({ field, name }) => field.replace(/"[^"]*" "[^"]*"/, fromGlue.get(name))),
  ...module.others
    .filter((field) => !isData(field))
    .map((field) => (field === table ? ` (table $0 ${tableSize} ${tableSize} funcref)` : field)),
  ...data.core,
  ...runs(places).map(elements),
  ...module.exports.map(({ field, name }) => field.replace(/"[^"]*"/, `"${names.exports[name] ?? name}"`)),
  ...[...shared].map(([name, { kind, as }]) => ` (export "${as}" (${kind} ${name}))`),
  ...kept,
])

writeFileSync(join(outDir, 'names.json'), JSON.stringify(names))

function signatureOf(name) {
  const own = module.functions.get(name)
  if (own) return own
  return module.imports.find((each) => each.name === name)
}

function placeholder(name) {
  return `$otherwise-${name.slice(1)}`
}

/** Merges consecutive positions: each segment has its own header. */
function runs(places) {
  const found = []
  for (const [slot, name] of places) {
    const last = found.at(-1)
    if (last && last.offset + last.names.length === slot) last.names.push(name)
    else found.push({ offset: slot, names: [name] })
  }
  return found
}

function elements({ offset, names }) {
  return ` (elem (table $0) (i32.const ${offset}) func ${names.join(' ')})`
}

/** Writes a module. Its loads and stores have no alignment hints, which engines ignore: code that is alike compresses better. */
function write(name, fields) {
  const text = fields.join('\n').replaceAll(/ align=\d+/g, '')
  writeFileSync(join(outDir, `${name}.wat`), `(module\n${text}\n)\n`)
}
