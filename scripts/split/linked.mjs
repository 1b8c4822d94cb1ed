// What a module says that was linked with --emit-relocs: which function calls, or takes the address of, which other one, directly or
// through data (vtables, tables of callbacks). Formats: the WebAssembly specification, and "Linking" of WebAssembly's tool conventions.

import { readFileSync } from 'node:fs'

const section = { import: 2, code: 10, data: 11 }
const symbolKind = { function: 0, data: 1, section: 3 }
const undefinedSymbol = 0x10
const explicitName = 0x40
/** The relocations that don't refer to a function or to data: types, globals, tables. */
const irrelevant = new Set([6, 7, 10, 13, 20])
/** What wasm-bindgen puts behind the name of an export while it is linked. */
const exportHash = /(?<=^(core|__wbg_core)_\w+)_[0-9a-f]{16}$/
/** The relocations with an addend. */
const withAddend = new Set([3, 4, 5, 8, 9, 11, 14, 15, 16, 17, 21, 22, 23])

/**
 * The graph of a linked module: `edges` from a node to a set of nodes. A function is its symbol's name; data has a node of its own.
 * Two functions of one name are one node, which can only make more be reached. `anywhere`: what data of no symbol refers to.
 */
export function readLinked(path) {
  const bytes = readFileSync(path)
  let at = 8
  const number = () => {
    let result = 0
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]
      result += (byte & 127) * 2 ** shift
      if (byte < 128) return result
    }
  }
  const text = () => {
    const length = number()
    at += length
    return bytes.toString('utf8', at - length, at)
  }

  const sections = []
  while (at < bytes.length) {
    const id = bytes[at++]
    const end = number() + at
    const start = at
    const name = id === 0 ? text() : ''
    sections.push({ id, name, start, body: at, end })
    at = end
  }
  const find = (id, name = '') => {
    const found = sections.find((each) => each.id === id && each.name === name)
    if (!found) throw new Error(`${path} has no section ${name || id}: link it with --emit-relocs`)
    return found
  }
  const into = (id, name) => {
    at = find(id, name).body
  }

  const imported = WebAssembly.Module.imports(new WebAssembly.Module(bytes)).filter(({ kind }) => kind === 'function')
  const ranges = (id, header) => {
    const list = []
    into(id)
    for (let left = number(); left > 0; left--) {
      header()
      const length = number()
      list.push({ start: at, end: at + length })
      at += length
    }
    return list
  }
  const bodies = ranges(section.code, () => {})
  const segments = ranges(section.data, () => {
    if (number() !== 0) throw new Error('a data segment that is not active')
    at++ // i32.const
    number()
    at++ // end
  })

  // The symbols: what a relocation's index means.
  const symbols = []
  const { end: linkingEnd } = find(0, 'linking')
  into(0, 'linking')
  number() // the version
  while (at < linkingEnd) {
    const id = bytes[at++]
    const end = number() + at
    for (let left = id === 8 ? number() : 0; left > 0; left--) symbols.push(readSymbol())
    at = end
  }
  function readSymbol() {
    const kind = bytes[at++]
    const flags = number()
    const defined = (flags & undefinedSymbol) === 0
    if (kind === symbolKind.section) return { kind, index: number() }
    if (kind === symbolKind.data) {
      const name = text()
      return defined ? { kind, name, segment: number(), offset: number(), size: number() } : { kind, name }
    }
    const index = number()
    return { kind, index, name: defined || (flags & explicitName) !== 0 ? text() : undefined }
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
    into(0, name)
    number() // the section they are for
    for (let left = number(); left > 0; left--) {
      const type = bytes[at++]
      const place = base + number()
      const target = node(number())
      if (withAddend.has(type)) number()
      if (target !== undefined && !irrelevant.has(type)) visit(place, target)
    }
  }
  eachRelocation('reloc.CODE', find(section.code).start, (place, target) => {
    connect(names.get(within(bodies, place) + imported.length), target)
  })
  const data = segments.map(({ start }, segment) =>
    symbols
      .map((symbol, index) => ({ ...symbol, index }))
      .filter((symbol) => symbol.kind === symbolKind.data && symbol.segment === segment)
      .map(({ offset, size, index }) => ({ start: start + offset, end: start + offset + size, node: `data ${index}` })),
  )
  eachRelocation('reloc.DATA', find(section.data).start, (place, target) => {
    const owners = data[within(segments, place)].filter(({ start, end }) => place >= start && place < end)
    for (const owner of owners) connect(owner.node, target)
    if (owners.length === 0) anywhere.add(target)
  })
  return { edges, anywhere }
}

/** The index of the range that holds a place; the ranges are sorted and don't overlap. */
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
