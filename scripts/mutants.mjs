// node scripts/mutants.mjs PART [NAME]...: breaks the code on purpose, one way after the other, and tells which the tests don't notice.
//
// tests/mutants/PART.mjs has the tests of the part and its mutants: of each a name, a file, an exact text in it, what stands there instead,
// and what that breaks. They are tried in a copy of the tree under .cache/mutants, with a target folder of its own. Exits 1 when a mutant
// survives, and 2 when one can't be tried: its text isn't there (any more), or what replaces it doesn't compile.
import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { runStep, signalSteps } from './run-step.mjs'

process.chdir(path.join(import.meta.dirname, '..'))
const ROOT = '.cache/mutants'
const TREE = `${ROOT}/tree`
/** A mutant may never end: that is noticed, too. */
const LONGEST_MS = { build: 40 * 60_000, tests: 20 * 60_000 }

function fail(text) {
  console.error(`mutants: ${text}`)
  process.exit(2)
}

/** Brings the copy of the tree up to date. What is the same keeps its time, so that cargo has less to do. */
function copyTree() {
  const list = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    encoding: 'utf8',
  })
  const files = new Set(list.split('\0').filter((file) => file !== '' && existsSync(file)))
  mkdirSync(TREE, { recursive: true })
  for (const entry of readdirSync(TREE, { recursive: true, withFileTypes: true })) {
    const file = path.relative(TREE, path.join(entry.parentPath, entry.name))
    if (entry.isFile() && !files.has(file)) rmSync(path.join(TREE, file))
  }
  for (const file of files) {
    const copy = path.join(TREE, file)
    if (existsSync(copy) && readFileSync(copy).equals(readFileSync(file))) continue
    mkdirSync(path.dirname(copy), { recursive: true })
    copyFileSync(file, copy)
  }
}

/** The source with the mutant in it. */
function mutated({ name, file, text, instead }) {
  const source = existsSync(file) ? readFileSync(file, 'utf8') : ''
  const found = source.split(text).length - 1
  if (found !== 1) fail(`${name}: ${file} has its text ${found} times instead of once`)
  return source.replace(text, () => instead)
}

async function run(command, log, longestMs) {
  const env = { CARGO_TARGET_DIR: path.resolve(ROOT, 'target'), CARGO_PROFILE_DEV_DEBUG: '0', RUST_BACKTRACE: '0' }
  const began = Date.now()
  const { code, late } = await runStep(['bash', '-c', `cd ${TREE} && ${command}`], { log, env, longestMs })
  return { failed: code !== 0, late, seconds: Math.round((Date.now() - began) / 1000) }
}

/** The first tests that failed, from their output. */
function failures(log) {
  const names = [...readFileSync(log, 'utf8').matchAll(/^test (\S+) \.\.\. FAILED$/gm)].map(([, name]) => name)
  return names.length > 3 ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more` : names.join(', ')
}

const [part, ...names] = process.argv.slice(2)
const parts = readdirSync('tests/mutants').map((file) => path.basename(file, '.mjs'))
if (!parts.includes(part)) fail(`name a part: ${parts.join(', ')}`)
const { build, test, mutants } = await import(path.resolve(`tests/mutants/${part}.mjs`))
const unknown = names.find((name) => mutants.every((mutant) => mutant.name !== name))
if (unknown) fail(`${part} has no mutant ${unknown}`)
const chosen = mutants.filter(({ name }) => names.length === 0 || names.includes(name))
// All texts before the first test.
const sources = chosen.map(mutated)

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    signalSteps(signal)
    process.exit(1)
  })
}
copyTree()
const survivors = []
for (const [at, { name, file, breaks }] of chosen.entries()) {
  const log = `${ROOT}/${part}-${name}.log`
  writeFileSync(path.join(TREE, file), sources[at])
  const built = await run(build, log, LONGEST_MS.build)
  if (built.failed) fail(`${name} doesn't compile: see ${log}`)
  const tested = await run(test, log, LONGEST_MS.tests)
  copyFileSync(file, path.join(TREE, file))
  const by = tested.late ? 'never ends' : failures(log)
  if (!tested.failed) survivors.push(name)
  const told = tested.failed ? `found: ${by}` : `SURVIVES: ${breaks}`
  console.log(`${name} (${built.seconds} + ${tested.seconds} s): ${told}`)
}
console.log(`${chosen.length - survivors.length} of ${chosen.length} mutants found`)
if (survivors.length > 0) process.exit(1)
