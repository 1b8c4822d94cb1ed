// node scripts/order.mjs IN.wasm OUT.wasm: prefixes each function's name with its position in an order that puts similar functions together,
// for `wasm-opt --reorder-functions-by-name`. gzip's window is only 32 KB: with similar functions side by side the total is 5 % smaller.
import { readFileSync, writeFileSync } from 'node:fs'
import { deflateRawSync } from 'node:zlib'
import { functionNames, importedFunctions, nameSection, Reader, sectionsOf } from './wasm-bytes.mjs'

/** The length of a piece that counts as shared, in bytes. */
const PIECE = 5
/** A piece in more functions than this is too common to count. */
const COMMON = 1000
/** The power of the number of functions with a piece by which its weight is divided: a rare piece counts more. */
const RARITY = 0.75
/**
 * The parameter sets to try; the one that compresses best is used. Each has the distance in bytes after which a piece counts for a third
 * only (distant matches cost more bits), and the power of a function's size by which its similarity is divided.
 */
const WAYS = [25_000, 40_000, 60_000].flatMap((fading) => [0.7, 0.75, 0.8, 0.85].map((power) => ({ fading, power })))

const [source, target] = process.argv.slice(2)
const wasm = readFileSync(source)

/** The bodies of the functions that are not imported. */
const bodies = []
const kept = [wasm.subarray(0, 8)]
for (const { id, header, body, end } of sectionsOf(wasm)) {
  if (id === 10) {
    const reader = new Reader(wasm, body)
    for (const range of reader.list(() => reader.range())) bodies.push(wasm.subarray(range.start, range.end))
  }
  if (id !== 0) kept.push(wasm.subarray(header, end))
}
const imported = importedFunctions(wasm)

/** The functions that contain a piece, by the piece's number. */
const sharers = []
const numbers = new Map()
const piecesOf = (body, index) => {
  const found = new Set()
  for (let i = 0; i + PIECE <= body.length; i++) {
    let hash = 0
    for (let j = i; j < i + PIECE; j++) hash = (Math.imul(hash, 0x01000193) ^ body[j]) >>> 0
    if (!numbers.has(hash)) numbers.set(hash, sharers.push([]) - 1)
    found.add(numbers.get(hash))
  }
  for (const piece of found) sharers[piece].push(index)
  return found
}
const isShared = (piece) => sharers[piece].length > 1 && sharers[piece].length <= COMMON
const shared = bodies.map(piecesOf).map((found) => [...found].filter(isShared))

/** Chooses the next function repeatedly: the one with the most pieces, for its size, that occurred recently and in few other functions. */
function order({ fading, power }) {
  const score = new Float64Array(bodies.length)
  const counted = new Float64Array(sharers.length) // the current weight of each piece
  const weight = bodies.map((body) => body.length ** power)
  const left = [...bodies.keys()]
  const order = []
  let present = 1 // grows, so that earlier pieces needn't be scaled down
  while (left.length > 0) {
    let next = 0
    for (let i = 1; i < left.length; i++) {
      if (score[left[i]] / weight[left[i]] > score[left[next]] / weight[left[next]]) next = i
    }
    const index = left[next]
    left[next] = left.at(-1)
    left.pop()
    order.push(index)
    present *= Math.exp(bodies[index].length / fading)
    if (present > 1e100) {
      for (const numbers of [score, counted]) for (let i = 0; i < numbers.length; i++) numbers[i] /= present
      present = 1
    }
    for (const piece of shared[index]) {
      const more = (present - counted[piece]) / sharers[piece].length ** RARITY
      counted[piece] = present
      for (const other of sharers[piece]) score[other] += more
    }
  }
  return order
}

const compressed = (order) => deflateRawSync(Buffer.concat(order.map((index) => bodies[index])), { level: 9 }).length
let best = [...bodies.keys()]
let least = compressed(best)
for (const way of WAYS) {
  const tried = order(way)
  const bytes = compressed(tried)
  if (bytes < least) [best, least] = [tried, bytes]
}

const names = functionNames(wasm)
const places = new Map(
  best.map((index, rank) => [index + imported, `${String(rank).padStart(6, '0')} ${names.get(index + imported)}`]),
)
writeFileSync(target, Buffer.concat([...kept, nameSection(undefined, places)]))
