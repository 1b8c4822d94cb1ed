// Which version a change needs: Semantic Versioning, as docs/internals/releases.md applies it to the API and to the storage format.

const STEPS = ['patch', 'minor', 'major']

/** Returns the numbers of a version `X.Y.Z`. */
export function numbersOf(version) {
  if (!/^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$/.test(version))
    throw new Error(`'${version}' is not a version: write three numbers, as 0.2.0`)
  return version.split('.').map(Number)
}

/** Compares two versions, for sorting. */
export function compare(one, other) {
  const [left, right] = [numbersOf(one), numbersOf(other)]
  const at = left.findIndex((number, index) => number !== right[index])
  return at < 0 ? 0 : left[at] - right[at]
}

/** Returns the step from one version to a higher one: 'major', 'minor' or 'patch'. */
export function stepBetween(from, to) {
  const [left, right] = [numbersOf(from), numbersOf(to)]
  return ['major', 'minor', 'patch'].find((_, index) => left[index] !== right[index])
}

/** Returns the step that a breaking change needs after a version: before 1.0 the second number stands for the first. */
export function breakingStep(from) {
  return numbersOf(from)[0] === 0 ? 'minor' : 'major'
}

/** Returns the storage format that the source of `src/format/mod.rs` declares. */
export function formatOf(source) {
  const found = /^pub const FORMAT: u32 = (\d+);$/m.exec(source)
  if (found === null) throw new Error('src/format/mod.rs declares no FORMAT')
  return Number(found[1])
}

/** Returns the public items of the crate, each with the item that it belongs to, from tests/native/public-api.txt. */
export function itemsOf(api) {
  return api
    .trim()
    .split(/\n{2,}/)
    .flatMap((block) => {
      const [head, ...lines] = block.split('\n')
      const items = lines.flatMap((line) => {
        const traits = /^\s*#\[derive\((.*)\)\]$/.exec(line)?.[1]
        return traits === undefined ? [line.trim()] : traits.split(', ').map((name) => `derive(${name})`)
      })
      return [head, ...items.map((item) => `${head}: ${item}`)]
    })
}

/**
 * Returns what keeps a release from being made, as sentences.
 *
 * `before` and `now` are `{ version, format, items, stored }`: the storage format, the crate's public items (`itemsOf`), and the golden
 * databases as `{ [path]: hash }`. `before` is the last release, or undefined.
 */
export function problemsOfRelease(before, now) {
  const problems = problemsOfStored(now)
  if (before === undefined) return problems
  const { version } = before
  if (compare(now.version, version) <= 0)
    return [...problems, `${now.version} does not follow ${version}, the last release`]
  const step = stepBetween(version, now.version)
  const needs = (least, why) => {
    if (STEPS.indexOf(step) < STEPS.indexOf(least))
      problems.push(`${why}: after ${version} this needs a ${least} version, and ${now.version} is a ${step} one`)
  }
  if (now.format < before.format)
    problems.push(`Storage format ${now.format} is older than ${before.format} of ${version}`)
  if (now.format > before.format)
    needs(breakingStep(version), `Storage format ${now.format} is new, and versions before refuse it`)
  const removed = before.items.filter((item) => !now.items.includes(item))
  const added = now.items.filter((item) => !before.items.includes(item))
  if (removed.length > 0) needs(breakingStep(version), `The public API of the crate lacks '${removed[0]}'`)
  if (added.length > 0 && numbersOf(version)[0] > 0) needs('minor', `The public API of the crate has '${added[0]}'`)
  for (const [file, hash] of Object.entries(before.stored)) {
    if (now.stored[file] === undefined) problems.push(`${file} is missing: ${version} stored such a database`)
    else if (now.stored[file] !== hash)
      problems.push(`${file} differs from that of ${version}: a golden database never changes`)
  }
  return problems
}

/** Returns which formats lack golden databases: each from the oldest one on has them, and the tests open all of them. */
function problemsOfStored({ format, stored }) {
  const found = Object.keys(stored).map((file) => Number(/format-(\d+)\//.exec(file)[1]))
  const oldest = Math.min(format, ...found)
  const wanted = Array.from({ length: format - oldest + 1 }, (_, index) => oldest + index)
  return [
    ...wanted
      .filter((number) => !found.includes(number))
      .map((number) => `Storage format ${number} has no golden databases in tests/fixtures/format-${number}`),
    ...found
      .filter((number, index) => number > format && found.indexOf(number) === index)
      .map((number) => `tests/fixtures/format-${number} is of a newer storage format than ${format}`),
  ]
}
