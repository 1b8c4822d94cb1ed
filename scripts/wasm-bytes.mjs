// Reads and writes the binary form of a module and its names. Shared by the build scripts.

import { execFileSync } from 'node:child_process'

/** Reads a module from a position on; initially after its header. */
export class Reader {
  constructor(bytes, at = 8) {
    this.bytes = bytes
    this.at = at
  }

  byte() {
    return this.bytes[this.at++]
  }

  /** Reads an unsigned LEB128 number. Of a signed one it skips the bytes. */
  number() {
    let result = 0
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte()
      result += (byte & 127) * 2 ** shift
      if (byte < 128) return result
    }
  }

  text() {
    const length = this.number()
    this.at += length
    return this.bytes.toString('utf8', this.at - length, this.at)
  }

  /** Reads a count and calls `read` that often; returns the results. */
  list(read) {
    return Array.from({ length: this.number() }, read)
  }

  /** Reads a length and returns the range of that many bytes; the reader is after it then. */
  range() {
    const length = this.number()
    this.at += length
    return { start: this.at - length, end: this.at }
  }
}

/** Returns the sections in order: `id`, `name` (of custom sections), the range with header, and the start of the content. */
export function sectionsOf(bytes) {
  const reader = new Reader(bytes)
  const sections = []
  while (reader.at < bytes.length) {
    const header = reader.at
    const id = reader.byte()
    const { start, end } = reader.range()
    reader.at = start
    const name = id === 0 ? reader.text() : ''
    sections.push({ id, name, header, start, body: reader.at, end })
    reader.at = end
  }
  return sections
}

/** Encodes a number as LEB128. */
export function encode(value) {
  const bytes = []
  for (; value > 127; value >>>= 7) bytes.push((value & 127) | 128)
  return [...bytes, value]
}

/** Returns the number of imported functions, which have the first function indexes. */
export function importedFunctions(bytes) {
  return WebAssembly.Module.imports(new WebAssembly.Module(bytes)).filter(({ kind }) => kind === 'function').length
}

/** Returns the names of a module's functions by index, imported ones included; none without a `name` section. */
export function functionNames(bytes) {
  const names = new Map()
  const section = sectionsOf(bytes).find(({ id, name }) => id === 0 && name === 'name')
  const reader = section && new Reader(bytes, section.body)
  while (reader?.at < section.end) {
    const kind = reader.byte()
    const { start } = reader.range()
    const inside = new Reader(bytes, start)
    if (kind === 1) inside.list(() => names.set(inside.number(), inside.text()))
  }
  return names
}

/** Makes a custom section. */
export function customSection(name, content) {
  const body = [...encode(name.length), ...Buffer.from(name), ...content]
  return Buffer.from([0, ...encode(body.length), ...body])
}

/** Makes the `name` section of a module with the names of its functions by index. */
export function nameSection(module, functions) {
  const named = (text) => [...encode(Buffer.byteLength(text)), ...Buffer.from(text)]
  const part = (kind, content) => [kind, ...encode(content.length), ...content]
  const all = [...functions].sort(([a], [b]) => a - b).flatMap(([index, name]) => [...encode(index), ...named(name)])
  const own = module === undefined ? [] : part(0, named(module))
  return customSection('name', [...own, ...(functions.size > 0 ? part(1, [...encode(functions.size), ...all]) : [])])
}

/** Demangles Rust symbols, in order; other names stay unchanged. */
export function demangle(symbols) {
  const output = execFileSync('llvm-cxxfilt-19', { input: symbols.join('\n'), maxBuffer: 1e9, encoding: 'utf8' })
  return output.split('\n')
}
