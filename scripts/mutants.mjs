// node scripts/mutants.mjs PART [NAME]...: breaks the code on purpose, one mutant at a time, and lists the mutants that the tests miss.
//
// tests/mutants/PART.mjs has the test command of the part and its mutants: for each a name, a file, the exact text of an expression in it,
// the expression that replaces it, and a description of the defect. All mutants are compiled once, in a copy of the tree under
// .cache/mutants; an environment variable selects one. Exits with 1 when a mutant survives, and with 2 when they can't run: a text isn't
// found, the copy doesn't compile, or the tests fail without a mutant.
import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { runStep, signalSteps } from './run-step.mjs'

process.chdir(path.join(import.meta.dirname, '..'))
const ROOT = '.cache/mutants'
const TREE = `${ROOT}/tree`
/** Timeouts: a mutant may run for ever, and a timeout counts as found. */
const LONGEST_MS = { build: 60 * 60_000, test: 30 * 60_000 }
/** What the test program prints about a test that failed. */
const FAILED = /^test (\S+) \.\.\. FAILED$/m
/** The code that selects a mutant. */
const CHOICE = `
/// Whether this mutant was chosen.
pub fn is_mutant(name: &str) -> bool {
    static CHOSEN: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    CHOSEN.get_or_init(|| std::env::var("TIDELOCK_MUTANT").unwrap_or_default()) == name
}
`

function fail(text) {
  console.error(`mutants: ${text}`)
  process.exit(2)
}

/** Returns the files that have mutants, with their mutants. */
function mutatedFiles(mutants) {
  const files = new Map([['src/lib.rs', readFileSync('src/lib.rs', 'utf8') + CHOICE]])
  for (const { name, file, text, instead } of mutants) {
    const source = files.get(file) ?? (existsSync(file) ? readFileSync(file, 'utf8') : '')
    const found = source.split(text).length - 1
    if (found !== 1) fail(`${name}: its text occurs ${found} times in ${file}, not once`)
    files.set(
      file,
      source.replace(text, () => `(if crate::is_mutant("${name}") { ${instead} } else { ${text} })`),
    )
  }
  return files
}

/** Updates the copy of the tree. Unchanged files keep their times, so that cargo compiles less. */
function copyTree(changed) {
  const list = ['ls-files', '-z', '--cached', '--others', '--exclude-standard']
  const files = execFileSync('git', list, { encoding: 'utf8' }).split('\0')
  const kept = new Set(files.filter((file) => file !== '' && existsSync(file)))
  mkdirSync(TREE, { recursive: true })
  for (const entry of readdirSync(TREE, { recursive: true, withFileTypes: true })) {
    const file = path.relative(TREE, path.join(entry.parentPath, entry.name))
    if (entry.isFile() && !kept.has(file)) rmSync(path.join(TREE, file))
  }
  for (const file of kept) {
    const copy = path.join(TREE, file)
    const content = changed.has(file) ? Buffer.from(changed.get(file)) : readFileSync(file)
    if (existsSync(copy) && readFileSync(copy).equals(content)) continue
    mkdirSync(path.dirname(copy), { recursive: true })
    copyFileSync(file, copy)
    writeFileSync(copy, content)
  }
}

/** Runs a command in the copy until the first test fails → `{ failed, seconds }`, and the name of that test. */
async function run(command, log, longestMs, mutant = '') {
  const env = {
    CARGO_TARGET_DIR: path.resolve(ROOT, 'target'),
    RUST_BACKTRACE: '0',
    TIDELOCK_MUTANT: mutant,
  }
  const began = Date.now()
  const options = { log, env, longestMs, until: FAILED }
  const { code, late } = await runStep(['bash', '-c', `cd ${TREE} && ${command}`], options)
  const seconds = Math.round((Date.now() - began) / 1000)
  return { failed: code !== 0, seconds, by: late ? 'it never ends' : failedTest(log) }
}

function failedTest(log) {
  return FAILED.exec(readFileSync(log, 'utf8'))?.[1] ?? 'a crash'
}

const [part, ...names] = process.argv.slice(2)
const parts = readdirSync('tests/mutants').map((file) => path.basename(file, '.mjs'))
if (!parts.includes(part)) fail(`pass one of the parts: ${parts.join(', ')}`)
const { build, tests, mutants } = await import(path.resolve(`tests/mutants/${part}.mjs`))
const unknown = names.find((name) => mutants.every((mutant) => mutant.name !== name))
if (unknown) fail(`${part} has no mutant ${unknown}`)

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    signalSteps(signal)
    process.exit(1)
  })
}
const log = (name) => `${ROOT}/${part}-${name}.log`
copyTree(mutatedFiles(mutants))
const built = await run(build, log('build'), LONGEST_MS.build)
if (built.failed) fail(`the mutants don't compile: see ${log('build')}`)
console.log(`compiled in ${built.seconds} s`)

/** Returns the first test that fails with a mutant as `by`; without it when none does. */
async function notices(mutant) {
  let seconds = 0
  for (const [kind, command] of Object.entries(tests)) {
    const tested = await run(command, log(mutant || 'none'), LONGEST_MS.test, mutant)
    seconds += tested.seconds
    if (tested.failed) return { seconds, by: `${kind}: ${tested.by}` }
  }
  return { seconds }
}

const none = await notices('')
if (none.by) fail(`tests fail without a mutant, ${none.by}: see ${log('none')}`)
const chosen = mutants.filter(({ name }) => names.length === 0 || names.includes(name))
const survivors = []
for (const { name, breaks } of chosen) {
  const { seconds, by } = await notices(name)
  if (!by) survivors.push(name)
  console.log(`${name} (${seconds} s): ${by ? `found by ${by}` : `SURVIVES: ${breaks}`}`)
}
console.log(`${chosen.length - survivors.length} of ${chosen.length} mutants found`)
if (survivors.length > 0) process.exit(1)
