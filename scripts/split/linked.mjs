// Reads the graph of a module that was linked with --emit-relocs: which functions call, or take the address of, which others, directly or
// through data (vtables, tables of callbacks). Formats: the WebAssembly specification, and "Linking" of WebAssembly's tool conventions.

import { readFileSync } from 'node:fs'
import { importedFunctions, Reader, sectionsOf } from '../wasm-bytes.mjs'

const section = { import: 2, code: 10, data: 11 }
const symbolKind = { function: 0, data: 1, section: 3 }
const undefinedSymbol = 0x10
const explicitName = 0x40
/** The relocations that refer to neither a function nor data: types, globals, tables. */
const irrelevant = new Set([6, 7, 10, 13, 20])
/** The suffix that wasm-bindgen adds to the name of an export while it is linked. */
const exportHash = /(?<=^(core|__wbg_core)_\w+)_[0-9a-f]{16}$/
/** The relocations with an addend. */
const withAddend = new Set([3, 4, 5, 8, 9, 11, 14, 15, 16, 17, 21, 22, 23])

/**
 * Returns the graph of a linked module: `edges` from a node to a set of nodes. The node of a function is the name of its symbol; data has
 * its own nodes. Two functions of one name are one node, which can only make more functions reachable. `anywhere`: the targets of data
 * without a symbol. `data`: the position in memory of each data node, and the name of its symbol.
 */
export function readLinked(path) {
  const bytes = readFileSync(path)
  const sections = sectionsOf(bytes)
  const find = (id, name = '') => {
    const found = sections.find((each) => each.id === id && each.name === name)
    if (!found) throw new Error(`${path} has no section ${name || id}: link it with --emit-relocs`)
    return found
  }
  const into = (id, name) => new Reader(bytes, find(id, name).body)

  const imported = importedFunctions(bytes)
  const code = into(section.code)
  const bodies = code.list(() => code.range())
  const data = into(section.data)
  const segments = data.list(() => {
    if (data.number() !== 0) throw new Error('a data segment is not active')
    data.byte() // i32.const
    const address = data.number()
    data.byte() // end
    return { address, ...data.range() }
  })

  // The symbol table, to which the indexes of relocations refer.
  let symbols = []
  const linking = into(0, 'linking')
  linking.number() // the version
  while (linking.at < find(0, 'linking').end) {
    const id = linking.byte()
    const part = linking.range()
    if (id === 8) symbols = readSymbols(new Reader(bytes, part.start))
  }
  const names = new Map()
  for (const { kind, index, name } of symbols) {
    if (kind === symbolKind.function && name) names.set(index, name.replace(exportHash, ''))
  }
  const node = (index) => {
    const symbol = symbols[index]
    if (symbol.kind === symbolKind.function) return names.get(symbol.index)
    return symbol.kind === symbolKind.data ? `data ${index}` : undefined
  }

  const edges = new Map()
  const connect = (from, to) => {
    const targets = edges.get(from)
    if (targets) targets.add(to)
    else edges.set(from, new Set([to]))
  }
  const anywhere = new Set()
  const eachRelocation = (name, base, visit) => {
    const reader = into(0, name)
    reader.number() // the section they are for
    reader.list(() => {
      const type = reader.byte()
      const place = base + reader.number()
      const target = node(reader.number())
      if (withAddend.has(type)) reader.number()
      if (target !== undefined && !irrelevant.has(type)) visit(place, target)
    })
  }
  eachRelocation('reloc.CODE', find(section.code).start, (place, target) => {
    connect(names.get(within(bodies, place) + imported), target)
  })
  const owned = segments.map(({ start }, segment) =>
    symbols
      .map((symbol, index) => ({ ...symbol, index }))
      .filter((symbol) => symbol.kind === symbolKind.data && symbol.segment === segment)
      .map(({ offset, size, index, name }) => ({
        start: start + offset,
        end: start + offset + size,
        node: `data ${index}`,
        name,
      })),
  )
  eachRelocation('reloc.DATA', find(section.data).start, (place, target) => {
    const owners = owned[within(segments, place)].filter(({ start, end }) => place >= start && place < end)
    for (const owner of owners) connect(owner.node, target)
    if (owners.length === 0) anywhere.add(target)
  })
  const inMemory = owned.flatMap((list, segment) => {
    const by = segments[segment].address - segments[segment].start
    return list.map(({ start, end, ...more }) => ({ ...more, start: start + by, end: end + by }))
  })
  return { edges, anywhere, data: inMemory }
}

function readSymbols(reader) {
  return reader.list(() => {
    const kind = reader.byte()
    const flags = reader.number()
    const defined = (flags & undefinedSymbol) === 0
    if (kind === symbolKind.section) return { kind, index: reader.number() }
    if (kind === symbolKind.data) {
      const name = reader.text()
      if (!defined) return { kind, name }
      return { kind, name, segment: reader.number(), offset: reader.number(), size: reader.number() }
    }
    const index = reader.number()
    return { kind, index, name: defined || (flags & explicitName) !== 0 ? reader.text() : undefined }
  })
}

/** Returns the index of the range that contains a position; the ranges are sorted and don't overlap. */
function within(ranges, place) {
  let [low, high] = [0, ranges.length - 1]
  while (low <= high) {
    const middle = (low + high) >> 1
    if (place < ranges[middle].start) high = middle - 1
    else if (place >= ranges[middle].end) low = middle + 1
    else return middle
  }
  throw new Error(`nothing at ${place}`)
}
