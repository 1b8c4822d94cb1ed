// Random choices from a seed, and random changes of bytes and texts.

/** Random choices, the same for the same seed (mulberry32). */
export class Random {
  #state

  constructor(seed) {
    this.#state = seed >>> 0
    // The first outputs of consecutive seeds are similar.
    for (let n = 0; n < 4; n++) this.uint32()
  }

  uint32() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }

  /** Returns an integer from 0 to `end` - 1. */
  below(end) {
    return Math.floor((this.uint32() / 2 ** 32) * end)
  }

  /** Returns true with probability 1 / `n`. */
  oneIn(n) {
    return this.below(n) === 0
  }

  pick(values) {
    return values[this.below(values.length)]
  }

  /** Returns an array of 1 to `most` results of `make`, usually few. */
  some(most, make) {
    return Array.from({ length: 1 + this.below(1 + this.below(most)) }, make)
  }
}

const edgeBytes = [0, 1, 2, 0x0d, 0x0a, 0x05, 0x7f, 0x80, 0x81, 0xfe, 0xff]
const edgeNumbers = [0, 1, 2, 3, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff]

/** Returns a copy of the bytes, some of them changed, moved, repeated or cut off, none before `from`. */
export function mutatedBytes(random, bytes, from = 0) {
  let changed = Buffer.from(bytes)
  for (const kind of random.some(12, () => random.below(20))) {
    if (changed.length <= from) break
    const at = from + random.below(changed.length - from)
    const length = Math.min(1 + random.below(random.pick([4, 32, 1024])), changed.length - at)
    if (kind < 6) changed[at] = random.uint32()
    else if (kind < 10) changed[at] = random.pick(edgeBytes)
    else if (kind < 12) changed[at] ^= 1 << random.below(8)
    else if (kind < 15 && at + 4 <= changed.length)
      changed[random.oneIn(2) ? 'writeUInt32BE' : 'writeUInt32LE'](random.pick(edgeNumbers), at)
    else if (kind < 16) changed.fill(random.pick(edgeBytes), at, at + length)
    else if (kind < 18) changed.copy(changed, at, from + random.below(changed.length - from), changed.length)
    else if (kind < 19) changed = changed.subarray(0, at)
    else changed = Buffer.concat([changed.subarray(0, at + length), changed.subarray(at)])
  }
  return new Uint8Array(changed)
}

const oddTexts = [
  '',
  ' ',
  '\0',
  '\n',
  '\r\n',
  "'",
  '"',
  ';',
  '--',
  '/*',
  '*/',
  '(',
  ')',
  '\ufeff',
  '\ud800',
  '💡',
  '../',
  '%00',
  '\u202e',
  '\u001b[2J',
]
const oddNumbers = ['0', '-1', '1e309', '9223372036854775808', '-0', 'NaN', '0x7fffffff', '1'.repeat(400)]

/** Returns the text, some of its words moved, repeated, left out, or replaced by those of `words`. */
export function mutatedText(random, text, words = []) {
  let pieces = text.match(/\w+|\s+|[^\w\s]/gu) ?? []
  for (const kind of random.some(8, () => random.below(12))) {
    const at = random.below(pieces.length + 1)
    const piece = () => pieces[random.below(pieces.length)] ?? ''
    if (kind < 3) pieces.splice(at, 1)
    else if (kind < 5) pieces.splice(at, 1, piece())
    else if (kind < 7) pieces.splice(at, 0, piece())
    else if (kind < 9 && words.length > 0) pieces.splice(at, random.below(2), random.pick(words))
    else if (kind < 10) pieces.splice(at, random.below(2), random.pick(oddTexts))
    else if (kind < 11) pieces.splice(at, random.below(2), random.pick(oddNumbers))
    else if (random.oneIn(2)) pieces = pieces.slice(0, at)
    else pieces.splice(at, 0, ...Array(random.below(200)).fill(piece()))
  }
  return pieces.join('')
}

/** Returns any JavaScript value: common, unusual or nested. */
export function anyValue(random, depth = 0) {
  const plain = [
    undefined,
    null,
    true,
    false,
    0,
    1,
    -1,
    2 ** 31,
    2 ** 53,
    -(2 ** 63),
    0.5,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    10n ** 30n,
    '',
    'a',
    'mine',
    '__proto__',
    'constructor',
    'x'.repeat(1000),
    ...oddTexts,
  ]
  const kind = random.below(depth > 3 ? 8 : 12)
  if (kind < 8) return random.pick(plain)
  if (kind < 9) return new Uint8Array(random.below(40)).fill(random.pick(edgeBytes))
  const nested = random.some(4, () => anyValue(random, depth + 1))
  if (kind < 10) return nested
  return Object.fromEntries(
    nested.map((value) => [random.pick(['length', 'sql', 'ids', 'type', 'then', 'a', 'buffer']), value]),
  )
}
