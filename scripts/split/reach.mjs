// Finds the functions that only the entries of one part reach.

import { demangle } from '../wasm-bytes.mjs'

/**
 * `parts` has the entries of each part: `exports` of the module, and `functions` of the linked module by a piece of their symbol's name.
 * Returns `entries`, functions by name with their result while the part isn't loaded, and `home`, the core or the part of each function and
 * data node. Functions that two parts reach belong to the core, with everything that they reach: so no part needs another one. Unreachable
 * nodes have no home (functions in the table that were kept alive only by an export that scripts/split/trim.mjs removed).
 *
 * Both graphs count, of the linked and of the final module: functions that wasm-opt inlined or merged are reachable in only one of them.
 */
export function reach(module, linked, parts) {
  // wasm-bindgen adds shims with such names around the functions at the boundary.
  const plain = (name) => name.replace(/^\$"?|"$/g, '').replace(/( externref| multivalue)+ shim.*$/, '')
  const byPlainName = grouped(module.functions.keys(), plain)

  const symbols = [...byPlainName.keys()]
  const demangled = new Map(demangle(symbols).map((path, index) => [symbols[index], path]))
  const entries = new Map()
  const enter = (name, part, more) => {
    if (!module.functions.has(name)) throw new Error(`scripts/parts.json: the entry ${name} of ${part} does not exist`)
    entries.set(name, { part, ...more })
  }
  for (const [part, { exports = [], functions = [] }] of Object.entries(parts)) {
    for (const each of exports) {
      const found = module.exports.find(({ name }) => name === each)
      if (!found) throw new Error(`scripts/parts.json: the export ${each} of ${part} does not exist`)
      enter(found.target, part)
    }
    for (const { path, ...more } of functions) {
      const found = [...byPlainName].filter(([name]) => demangled.get(name) === path)
      if (found.length !== 1)
        throw new Error(`scripts/parts.json: ${found.length} functions are called ${path}, not one`)
      enter(found[0][1][0], part, more)
    }
  }
  const cut = new Set([...entries.keys()].map(plain))

  const targets = (node) => {
    const final = (byPlainName.get(node) ?? []).flatMap((name) => [...module.functions.get(name).callees])
    return [...(linked.edges.get(node) ?? []), ...final.map(plain)]
  }
  const from = (roots) => {
    const seen = new Set(roots)
    const left = [...seen]
    for (let node = left.pop(); node !== undefined; node = left.pop()) {
      for (const target of targets(node)) {
        if (cut.has(target) || seen.has(target)) continue
        seen.add(target)
        left.push(target)
      }
    }
    return seen
  }

  const known = new Set([...linked.edges].flatMap(([node, reached]) => [node, ...reached]))
  const inTable = module.elements.flatMap(({ names }) => names.map(plain))
  const core = from([
    ...linked.anywhere,
    ...module.exports.map(({ target }) => plain(target)).filter((name) => !cut.has(name)),
    ...inTable.filter((name) => !known.has(name)),
  ])
  const reached = Object.fromEntries(
    Object.keys(parts).map((part) => [
      part,
      from([...entries].filter(([, entry]) => entry.part === part).map(([name]) => plain(name))),
    ]),
  )
  const reachedBy = (node) => Object.keys(parts).filter((part) => reached[part].has(node))
  const data = linked.data.map(({ node }) => node)
  const shared = [...byPlainName.keys(), ...data].filter((node) => reachedBy(node).length > 1)
  const inCore = from([...core, ...shared])

  const home = new Map()
  const settle = (name, node) => {
    const owner = inCore.has(node) ? 'core' : reachedBy(node)[0]
    if (owner !== undefined) home.set(name, owner)
  }
  for (const name of module.functions.keys()) settle(name, plain(name))
  for (const node of data) settle(node, node)
  return { entries, home }
}

/** Map.groupBy, which Node 20 lacks. */
function grouped(items, key) {
  const groups = new Map()
  for (const item of items) groups.set(key(item), [...(groups.get(key(item)) ?? []), item])
  return groups
}
