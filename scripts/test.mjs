// node scripts/test.mjs [--parts] [PART | TEST FILE]... | --changed [COMMIT]
//
// Runs the parts of the tests (all, the named ones, or those that changes since a commit can affect), two steps side by side, to their end.
// What each step prints is in .cache/test/; the end tells how long each step and the slowest test files took, and what failed.
// `--parts` only prints which parts it would run.
import { execFileSync, spawn } from 'node:child_process'
import { createWriteStream, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'

process.chdir(path.join(import.meta.dirname, '..'))
const LOGS = '.cache/test'
const cores = Math.max(2, os.availableParallelism())

/** Node's tests of a folder: each file is a process, one for each core at a time. */
const nodeTests = (folder, concurrency = cores) => ({
  folder,
  command: (files) => [
    ...['node', '--test', '--test-reporter=spec', '--test-reporter-destination=stdout'],
    ...[
      '--test-reporter=./scripts/test-reporter.mjs',
      `--test-reporter-destination=${LOGS}/${folder.replaceAll('/', '-')}.json`,
    ],
    ...[`--test-concurrency=${concurrency}`, '--test-timeout=300000', ...files],
  ],
})

const browserTest = 'cargo test --locked --target wasm32-unknown-unknown --test web'
const inBrowser = { WASM_BINDGEN_TEST_NO_ORIGIN_ISOLATION: '1', WASM_BINDGEN_TEST_TIMEOUT: '120' }

/**
 * The steps, in the order in which they begin. `after`: the steps whose results it needs. `cargo`: it holds the lock on target/, so one of
 * them runs at a time.
 */
const STEPS = [
  { part: 'build', name: 'wasm', command: 'scripts/wasm.sh' },
  { part: 'lint', name: 'rustfmt', command: 'cargo fmt --all --check' },
  // The same random cases each time: what fails here fails again. `PROPTEST_RNG_SEED= cargo test` looks for others.
  {
    part: 'native',
    name: 'native',
    cargo: true,
    command: 'cargo test --locked',
    env: { PROPTEST_RNG_SEED: '20261120' },
  },
  { part: 'native', name: 'simulation', cargo: true, command: 'scripts/simulate.sh --seeds 10000', after: ['native'] },
  { part: 'build', name: 'package', command: 'scripts/package.sh', after: ['wasm'] },
  { part: 'build', name: 'size', command: 'node scripts/size.mjs', after: ['package'] },
  { part: 'e2e', ...nodeTests('tests/e2e'), after: ['package'] },
  { part: 'browsers', ...nodeTests('tests/browsers', 1), after: ['package'] },
  { part: 'lint', name: 'clippy', cargo: true, command: 'cargo clippy --locked --all-targets -- -D warnings' },
  // On a page as users have it, without cross-origin isolation, and in a worker of such a page.
  {
    part: 'web',
    name: 'web, page',
    cargo: true,
    command: browserTest,
    env: { ...inBrowser, WASM_BINDGEN_USE_BROWSER: '1' },
  },
  {
    part: 'web',
    name: 'web, worker',
    cargo: true,
    command: browserTest,
    env: { ...inBrowser, WASM_BINDGEN_USE_DEDICATED_WORKER: '1' },
  },
  {
    part: 'lint',
    name: 'clippy, wasm',
    cargo: true,
    command: 'cargo clippy --locked --target wasm32-unknown-unknown --lib --test web -- -D warnings',
  },
  { part: 'lint', name: 'biome', command: 'node_modules/.bin/biome ci --colors=off --error-on-warnings .' },
  { part: 'typescript', name: 'typescript', command: 'node pkg-js/test/run.mjs', after: ['package'] },
  { part: 'typescript', name: 'typescript, demo', command: 'node_modules/.bin/tsc -p www', after: ['package'] },
  { part: 'node', ...nodeTests('tests/node'), after: ['package'] },
  { part: 'node', ...nodeTests('tests/messages'), after: ['tests/node', 'tests/e2e'] },
  { part: 'packaging', ...nodeTests('tests/packaging'), after: ['package'] },
  { part: 'remote', ...nodeTests('tests/remote') },
  { part: 'demo', name: 'demo', command: 'node www/demo.mjs --check', after: ['package'] },
].map((step) => ({ name: step.folder, after: [], env: {}, ...step }))

const PARTS = [...new Set(STEPS.map(({ part }) => part))]

/** What a changed file can affect: parts, or a test file itself. Rust is in the package, so it reaches nearly all. */
function affected(file) {
  if (/\.test\.mjs$/.test(file) && testFolder(file)) return existsSync(file) ? ['lint', file] : ['lint']
  const scenario = /^tests\/scenarios\/(?!run\/)(.+)\.mjs$/.exec(file)
  if (scenario) return ['lint', 'node', 'e2e', 'browsers']
  const rules = [
    [/^tests\/native\//, ['lint', 'native']],
    [/^tests\/web\//, ['lint', 'web']],
    [/^tests\/packaging\//, ['lint', 'packaging']],
    [/^tests\/browsers\//, ['lint', 'browsers']],
    [/^tests\/messages\//, ['lint', 'node', 'native', 'typescript']],
    [/^tests\/e2e\//, ['lint', 'e2e', 'browsers', 'demo']],
    [/^tests\/(node|scenarios)\//, ['lint', 'node', 'e2e', 'browsers']],
    [/^www\//, ['lint', 'typescript', 'demo']],
    [/^benches\//, ['lint', 'packaging']],
    [/^pkg-js\/test\//, ['lint', 'typescript']],
    [/^pkg-js\//, PARTS.filter((part) => !['native', 'web'].includes(part))],
    [/^docs\/|^[A-Z]+\.md$/, ['native', 'e2e']],
  ]
  return rules.find(([pattern]) => pattern.test(file))?.[1] ?? PARTS
}

const testFolder = (file) => STEPS.find(({ folder }) => folder && path.dirname(file) === folder)

/** The chosen parts and files: `{ parts, files }`, and what these need built. */
function choose(given) {
  let named = given
  if (given[0] === '--changed') {
    const git = (...words) => execFileSync('git', words, { encoding: 'utf8' }).split('\n').filter(Boolean)
    const changed = [
      ...git('diff', '--name-only', given[1] ?? 'HEAD'),
      ...git('ls-files', '--others', '--exclude-standard'),
    ]
    named = [...new Set(changed.flatMap(affected))]
    if (named.length === 0) return { parts: [], files: [] }
  }
  const files = named.filter((name) => name.endsWith('.mjs'))
  const parts = named.filter((name) => !files.includes(name))
  for (const part of parts) if (!PARTS.includes(part)) fail(`no test part '${part}': there are ${PARTS.join(', ')}`)
  for (const file of files)
    if (!existsSync(file) || !testFolder(file))
      fail(`'${file}' is no test file of ${STEPS.flatMap(({ folder }) => folder ?? []).join(', ')}`)
  return {
    parts: named.length === 0 ? PARTS : parts,
    files: files.filter((file) => !parts.includes(testFolder(file).part)),
  }
}

function fail(message) {
  console.error(`build.sh: ${message}`)
  process.exit(2)
}

const onlyParts = process.argv[2] === '--parts'
const { parts, files } = choose(process.argv.slice(onlyParts ? 3 : 2))
const fileParts = files.map((file) => testFolder(file).part)
if (onlyParts) {
  console.log([...new Set([...parts, ...fileParts])].join('\n'))
  process.exit(0)
}

/** The steps to run: those of the parts, those of single files, and those that they need. */
const wanted = new Map()
function want(step, only) {
  wanted.set(step.name, { ...step, only })
  for (const name of step.after) {
    const before = STEPS.find((each) => each.name === name)
    // The messages' rules look at what the tests before them wrote; only a build is a need.
    if (before.part === 'build' && !wanted.has(name)) want(before)
  }
}
for (const step of STEPS) {
  const only = files.filter((file) => testFolder(file) === step)
  if (parts.includes(step.part)) want(step)
  else if (only.length > 0) want(step, only)
}
const steps = STEPS.flatMap((step) => wanted.get(step.name) ?? [])
if (steps.length === 0) {
  console.log('nothing to test')
  process.exit(0)
}

rmSync(LOGS, { recursive: true, force: true })
mkdirSync(LOGS, { recursive: true })
const started = performance.now()
const seconds = (from) => Math.round((performance.now() - from) / 1000)

/** Runs a step → its result; never rejects. */
async function run(step) {
  const from = performance.now()
  const log = `${LOGS}/${step.name.replaceAll(/[^\w]+/g, '-')}.log`
  const command = step.folder
    ? step.command(
        step.only ??
          readdirSync(step.folder)
            .filter((name) => name.endsWith('.test.mjs'))
            .map((name) => `${step.folder}/${name}`),
      )
    : step.command.split(' ')
  const out = createWriteStream(log)
  const child = spawn(command[0], command.slice(1), {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...step.env },
  })
  child.stdout.pipe(out, { end: false })
  child.stderr.pipe(out, { end: false })
  const code = await new Promise((resolve) => {
    child.once('error', (error) => resolve(`${error}`))
    child.once('close', resolve)
  })
  await new Promise((resolve) => out.end(resolve))
  const text = readFileSync(log, 'utf8')
  const result = { step, seconds: seconds(from), ...counts(step, text), ok: code === 0 }
  if (!result.ok && result.failed.length === 0) result.failed.push(step.name)
  const told = `${step.name}: ${result.ok ? 'ok' : 'FAILED'}, ${result.seconds} s${result.passed ? `, ${result.passed} passed` : ''}`
  console.log(`${String(seconds(started)).padStart(5)} s  ${told}`)
  if (!result.ok) console.log(`${excerpt(text)}\n       the whole of it is in ${log}`)
  return result
}

/** What the step counted, and the names of what failed. */
function counts(step, text) {
  if (step.folder) {
    const file = `${LOGS}/${step.folder.replaceAll('/', '-')}.json`
    const { passed, failed, files } = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8') || '{}') : {}
    return { passed: passed ?? 0, failed: failed ?? [], files: files ?? [] }
  }
  // cargo: "test result: ok. 12 passed; 0 failed", "test a::b ... FAILED"; Node's reporter "spec": "ℹ pass 12"; the demo: "11 steps passed".
  const sum = (pattern) => [...text.matchAll(pattern)].reduce((total, [, n]) => total + Number(n), 0)
  const passed = sum(/^test result: .*?(\d+) passed/gm) + sum(/^ℹ pass (\d+)/gm) + sum(/^(\d+) steps passed/gm)
  const named = [
    ...text.matchAll(/^test (\S+)(?: - should panic)? \.\.\. FAILED/gm),
    ...text.matchAll(/^FAIL +(.+?):/gm),
  ]
  return { passed, failed: named.map(([, name]) => `${step.name}: ${name}`), files: [] }
}

/** The end of what a failed step printed; Node's runner lists what failed at its end. */
function excerpt(text) {
  const lines = text.split('\n')
  const from = lines.findIndex((line) => line.startsWith('✖ failing tests:'))
  return (from < 0 ? lines.slice(-60) : lines.slice(from, from + 200)).join('\n')
}

/** Two steps at a time: the next one whose needs are met, where at most one has cargo's lock. */
const results = new Map()
const running = new Set()
let cargoBusy = false
async function worker() {
  for (;;) {
    const waits = steps.filter(({ name }) => !results.has(name) && !running.has(name))
    if (waits.length === 0) return
    const ready = waits.find(
      (step) => !(step.cargo && cargoBusy) && step.after.every((name) => results.has(name) || !wanted.has(name)),
    )
    if (ready === undefined) {
      await new Promise((resolve) => setTimeout(resolve, 50))
      continue
    }
    const broken = ready.after.find(
      (name) => results.get(name)?.ok === false && results.get(name).step.part === 'build',
    )
    if (broken) {
      results.set(ready.name, {
        step: ready,
        seconds: 0,
        passed: 0,
        failed: [`${ready.name}: needs ${broken}`],
        files: [],
        ok: false,
      })
      continue
    }
    running.add(ready.name)
    if (ready.cargo) cargoBusy = true
    const result = await run(ready)
    if (ready.cargo) cargoBusy = false
    running.delete(ready.name)
    results.set(ready.name, result)
  }
}
await Promise.all([worker(), worker()])

const all = [...results.values()]
console.log('\n  seconds  passed  step')
for (const { step, seconds: took, passed } of all.toSorted((a, b) => b.seconds - a.seconds))
  console.log(`${String(took).padStart(9)}${String(passed || '').padStart(8)}  ${step.name}`)
const slowest = all.flatMap((result) => result.files).toSorted((a, b) => b.seconds - a.seconds)
if (slowest.length > 0) console.log('\n  seconds  test file')
for (const file of slowest.slice(0, 20)) console.log(`${file.seconds.toFixed(1).padStart(9)}  ${file.name}`)

const failed = all.flatMap((result) => result.failed)
const passed = all.reduce((total, result) => total + result.passed, 0)
console.log(`\n${passed} passed, ${failed.length} failed, in ${seconds(started)} s`)
if (failed.length > 0) console.log(`FAILED: ${failed.join('; ')}`)
process.exit(failed.length > 0 ? 1 : 0)
