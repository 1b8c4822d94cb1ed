// node scripts/test.mjs [--parts] [--all] [PART | STEP | TEST FILE]... | --changed [COMMIT]
//
// Runs the parts of the tests (all, the named ones, or those that changes since a commit can affect) to their end, a few steps in parallel;
// each file of Node's tests is a step. The output of each step is in .cache/test/. A summary shows durations and failures.
// `--all` runs each scenario and each end-to-end test in each browser and thread, all cases of the native tests, and also the parts that
// otherwise run only when they are named. `--parts` only prints the parts that would run.
import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { endedBy, runStep, signalSteps } from './run-step.mjs'

process.chdir(path.join(import.meta.dirname, '..'))
const LOGS = '.cache/test'
/** The number of parallel steps: many of them wait for a browser now and then, and one for cargo's lock. A third more than that takes longer. */
const SIDE_BY_SIDE = Math.max(2, os.availableParallelism()) + 2
/** The timeouts of steps on a busy machine with 2 cores: of a file of Node's tests, and of steps that may compile first. */
const LONGEST_MS = { tests: 15 * 60_000, others: 40 * 60_000 }

/** The folders of Node's tests, by part. */
const FOLDERS = {
  node: ['tests/node', 'tests/messages'],
  e2e: ['tests/e2e'],
  browsers: ['tests/browsers'],
  packaging: ['tests/packaging'],
  integrations: ['tests/integrations'],
  bundlers: ['tests/bundlers'],
  remote: ['tests/remote'],
  crate: ['tests/crate'],
  docs: ['tests/docs'],
  leptos: ['tests/leptos'],
}

/** Parts that run only when they are named, or with `--all`, because they install and build for minutes. */
const NAMED_ONLY = ['bundlers', 'docs', 'leptos']

/** Makes a step for each test file of a part, those that take longest first: one that began last would run alone in the end. */
function nodeTests(part, after = ['package']) {
  const late = (name) => Number(!/scenarios|random|kills|examples|quickstart|types|bundlers|vitest|looks/.test(name))
  return FOLDERS[part]
    .flatMap((folder) => readdirSync(folder).map((name) => `${folder}/${name}`))
    .filter((name) => name.endsWith('.test.mjs'))
    .toSorted((a, b) => late(a) - late(b))
    .map((file) => ({ part, name: file, file, after }))
}

/**
 * The compiler is Clippy's while tests are compiled: checking everything once more would take half as long again. As `cargo clippy` does it,
 * which separates the arguments in this way.
 */
const linted = {
  RUSTC_WORKSPACE_WRAPPER: 'clippy-driver',
  CLIPPY_ARGS: '-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__',
}
// With the classes of the npm package, for the lints.
const browserTest =
  'cargo test --locked --features npm,sync,opfs --target wasm32-unknown-unknown --test web --test worker'
// These wait for IndexedDB; compiling takes most of their time. SQLite, too: the end-to-end tests have it as .cargo/config.toml says.
const forBrowser = {
  ...linted,
  CARGO_PROFILE_DEV_OPT_LEVEL: '0',
  CFLAGS_wasm32_unknown_unknown: '-O0 -mbulk-memory -mnontrapping-fptoint -msign-ext',
}
const inBrowser = { ...forBrowser, WASM_BINDGEN_TEST_NO_ORIGIN_ISOLATION: '1', WASM_BINDGEN_TEST_TIMEOUT: '120' }

/**
 * The steps, in the order in which they begin. `after`: the steps that must be finished before. `cargo`: the step holds the lock on target/,
 * so only one of them runs at a time; they come first, so that one is always running. `programs`: the step runs the test programs that
 * another step compiled, each with the arguments `words`, without cargo, which would wait for its lock.
 */
const STEPS = [
  { part: 'build', name: 'wasm', command: 'scripts/wasm.sh' },
  {
    part: 'lint',
    name: 'clippy, compile',
    cargo: true,
    command: 'scripts/native-tests.sh',
    env: linted,
  },
  // Fixed seed: the same random cases in each run, so that failures repeat. `PROPTEST_RNG_SEED= cargo test` tries others.
  {
    part: 'native',
    name: 'native',
    programs: 'clippy, compile',
    words: '--skip simulation::acknowledged', // a step of its own, with more seeds
    after: ['clippy, compile'],
    env: { PROPTEST_RNG_SEED: '20261120' },
  },
  { part: 'lint', name: 'clippy, web', cargo: true, command: `${browserTest} --no-run`, env: forBrowser },
  // In an ordinary page without cross-origin isolation, and in a dedicated worker.
  {
    part: 'web',
    name: 'web',
    cargo: true,
    command: browserTest,
    after: ['clippy, web'],
    env: { ...inBrowser, WASM_BINDGEN_USE_BROWSER: '1' },
  },
  {
    part: 'native',
    name: 'simulation',
    programs: 'clippy, compile',
    words: 'simulation::acknowledged',
    after: ['clippy, compile'],
  },
  // The front of the crate: its documents, and the examples in them.
  {
    part: 'crate',
    name: 'crate, examples',
    cargo: true,
    command: 'cargo test --locked --features realtime --doc -p tidelock',
    after: ['clippy, compile'],
    env: linted,
  },
  {
    part: 'crate',
    name: 'crate, documents',
    cargo: true,
    command: 'cargo doc --locked --features realtime --no-deps -p tidelock',
    env: { RUSTDOCFLAGS: '-D warnings' },
  },
  // Without its features: nothing is missing, and no link leads to what isn't there.
  {
    part: 'crate',
    name: 'crate, without features',
    cargo: true,
    command: 'cargo clippy --locked --lib -p tidelock -- -D warnings',
  },
  {
    part: 'crate',
    name: 'crate, documents without features',
    cargo: true,
    command: 'cargo doc --locked --no-deps -p tidelock',
    env: { RUSTDOCFLAGS: '-D warnings' },
  },
  { part: 'lint', name: 'rustfmt', command: 'cargo fmt --all --check' },
  { part: 'lint', name: 'biome', command: 'node_modules/.bin/biome ci --colors=off .' },
  { part: 'build', name: 'package', command: 'scripts/package.sh', after: ['wasm'] },
  { part: 'build', name: 'size', command: 'node scripts/size.mjs', after: ['package'] },
  ...nodeTests('browsers'),
  ...nodeTests('node'),
  // Fixed seed: `./build.sh fuzz` tries others.
  { part: 'node', name: 'fuzz', command: 'node tests/fuzz/fuzz.mjs --seconds 10 --from 1', after: ['package'] },
  ...nodeTests('e2e'),
  // In one thread: `./build.sh demo --check` takes both.
  {
    part: 'demo',
    name: 'demo',
    command: 'node www/demo.mjs --check',
    after: ['package'],
    env: { TIDELOCK_DEMO_THREAD: 'current' },
  },
  { part: 'typescript', name: 'typescript', command: 'node pkg-js/test/run.mjs', after: ['package'] },
  { part: 'typescript', name: 'typescript, demo', command: 'node_modules/.bin/tsc -p www', after: ['package'] },
  ...nodeTests('integrations'),
  ...nodeTests('packaging'),
  // With a native program, which the tests in Rust compile.
  ...nodeTests('crate', ['package', 'clippy, compile']),
  ...nodeTests('bundlers'),
  ...nodeTests('docs'),
  ...nodeTests('leptos', []),
  ...nodeTests('remote', []),
].map((step) => ({ after: [], env: {}, ...step }))

const PARTS = [...new Set(STEPS.map(({ part }) => part))]
/** The parts of a run without names. */
const USUAL_PARTS = PARTS.filter((part) => !NAMED_ONLY.includes(part))

/** Returns the parts, or the test file, that a changed file can affect. Rust is in the package, so it affects nearly all parts. */
function affected(file) {
  if (STEPS.some((step) => step.file === file)) return ['lint', file]
  if (file.endsWith('.test.mjs') && !existsSync(file)) return ['lint']
  const rules = [
    [/^(benches|tests)\/.*\.md$/, ['tests/node/documents-text.test.mjs']],
    [/^tests\/native\//, ['lint', 'native']],
    [/^tests\/(web|worker)\//, ['lint', 'web']],
    [/^(tests\/crate|examples\/native-\w+|crates\/macros)\//, ['lint', 'native', 'crate']],
    [/^src\/(api|native)\//, ['lint', 'native', 'web', 'crate']],
    [/^tests\/(packaging|bundlers)\//, ['lint', 'packaging']],
    [/^(tests|examples)\/leptos/, ['lint', 'leptos', 'tests/packaging/examples.test.mjs']],
    [/^examples\//, ['lint', 'packaging']],
    [/^tests\/integrations\//, ['lint', 'integrations']],
    [/^pkg-js\/src\/integrations\//, ['lint', 'build', 'packaging', 'integrations', 'typescript']],
    [/^tests\/browsers\//, ['lint', 'browsers']],
    [/^tests\/fuzz\//, ['lint', 'fuzz']],
    [
      /^(scripts\/release|\.github\/)/,
      ['lint', 'tests/packaging/release.test.mjs', 'tests/node/documents-text.test.mjs'],
    ],
    [/^tests\/messages\//, ['lint', 'node', 'native', 'typescript']],
    [/^tests\/e2e\//, ['lint', 'e2e', 'browsers', 'demo']],
    [/^tests\/(node|scenarios)\//, ['lint', 'node', 'e2e', 'browsers']],
    [/^(tests|scripts)\/docs\//, ['lint', 'docs', 'packaging']],
    [/^www\//, ['lint', 'typescript', 'demo']],
    [/^benches\//, ['lint', 'packaging']],
    [/^pkg-js\/test\//, ['lint', 'typescript']],
    // Held against the Rust types.
    [/^pkg-js\/src\/base\/reports\.ts$/, USUAL_PARTS],
    [/^pkg-js\//, USUAL_PARTS.filter((part) => !['native', 'web'].includes(part))],
    [
      /^docs\/|^[A-Z]+\.md$/,
      [
        'tests/node/documents-text.test.mjs',
        'tests/node/documents.test.mjs',
        'docs',
        'tests/e2e/readme.test.mjs',
        'tests/e2e/runbook.test.mjs',
        'tests/packaging/tarball.test.mjs',
        'tests/packaging/quickstart.test.mjs',
      ],
    ],
  ]
  return rules.find(([pattern]) => pattern.test(file))?.[1] ?? USUAL_PARTS
}

function fail(text) {
  console.error(`build.sh: ${text}`)
  process.exit(2)
}

/** Returns the name of a step or part as the lists spell it: of a test file, its path from the root of the clone. */
function spelled(word) {
  if (!word.endsWith('.test.mjs')) return word
  const file = path.relative('.', path.resolve(word))
  return file.startsWith('pkg-js/test/') ? 'typescript' : file
}

/** Returns the files that were changed since a commit, also where a file lay before, and those that git doesn't know. */
function changedSince(commit) {
  const git = (...args) => {
    try {
      return execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
        .split('\0')
        .filter(Boolean)
    } catch {
      return fail(`git can't compare with '${commit}'`)
    }
  }
  return [
    ...git('diff', '-z', '--no-renames', '--name-only', commit, '--'),
    ...git('ls-files', '-z', '--others', '--exclude-standard'),
  ]
}

/** Returns the steps that the arguments name, or that changes can affect; without arguments all. */
function choose(words) {
  let named = words.map(spelled)
  if (words.includes('--changed')) {
    if (words[0] !== '--changed' || words.length > 2) fail('--changed takes one commit or none, and no parts beside it')
    const commit = words[1] ?? 'HEAD'
    named = [...new Set(changedSince(commit).flatMap(affected))]
    if (named.length === 0) return []
  }
  for (const name of named)
    if (!STEPS.some((step) => isNamed(step, [name])))
      fail(`'${name}' is neither --changed, --all, a test file, a step nor a part of the tests: ${PARTS.join(', ')}`)
  const parts = flags.includes('--all') ? PARTS : USUAL_PARTS
  return STEPS.filter((step) => isNamed(step, named.length === 0 ? parts : named))
}

/** Returns whether a step, its file or its part is among the names. */
function isNamed({ part, name, file }, names) {
  return [part, name, file].some((one) => names.includes(one))
}

const flags = ['--parts', '--all'].filter((flag) => process.argv.includes(flag))
if (flags.includes('--all')) process.env.TIDELOCK_ALL = '1'
const chosen = choose(process.argv.slice(2).filter((word) => !flags.includes(word)))
if (chosen.length === 0) {
  console.error('build.sh: nothing was changed')
  process.exit(0)
}
if (flags.includes('--parts')) {
  console.log([...new Set(chosen.map(({ part }) => part))].join('\n'))
  process.exit(0)
}

/** The chosen steps and those that they depend on. */
const needed = new Set(chosen)
for (const step of needed) for (const name of step.after) needed.add(STEPS.find((each) => each.name === name))
const steps = STEPS.filter((step) => needed.has(step))

rmSync(LOGS, { recursive: true, force: true })
mkdirSync(LOGS, { recursive: true })
const started = performance.now()
const seconds = (from) => Math.round((performance.now() - from) / 1000)
const say = (text) => console.log(`${String(seconds(started)).padStart(5)} s  ${text}`)

// Temporary files are in memory if there is room: on a disk that compilers keep busy, one fsync may take half a minute.
const [memory, ROOM] = ['/dev/shm', 8 * 2 ** 30]
if (process.env.TMPDIR === undefined && existsSync(memory)) {
  const { bavail, bsize } = statfsSync(memory)
  if (bavail * bsize > ROOM) {
    const folder = mkdtempSync(`${memory}/tidelock-`)
    chmodSync(folder, 0o711) // PostgreSQL runs as another user
    process.env.TMPDIR = folder
    process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  }
}

/** The names of the running steps. */
const underWay = new Set()
setInterval(() => say(`running: ${[...underWay].join('; ')}`), 60_000).unref()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
  process.once(signal, () => {
    signalSteps(signal)
    process.exit(128 + os.constants.signals[signal])
  })

/** Returns the path of a step's files of this run, without extension. */
function logOf(name) {
  return `${LOGS}/${name.replaceAll(/[^\w-]+/g, '-')}`
}

/** Returns the command that runs all test programs that a step has compiled, even if one fails. */
function programs({ programs, words = '' }) {
  const compiled = readFileSync(`${logOf(programs)}.log`, 'utf8').matchAll(/^program: (.+)$/gm)
  const lines = Array.from(compiled, ([, program]) => `'${program}' ${words} || failed=1`)
  if (lines.length === 0) lines.push('echo "no test program was compiled"; failed=1')
  return ['bash', '-c', ['failed=0', ...lines, 'exit $failed'].join('\n')]
}

/** Runs a step → its result. Never rejects. */
async function run(step) {
  const from = performance.now()
  const log = logOf(step.name)
  const reporters = [
    ...['--test-reporter=spec', '--test-reporter-destination=stdout'],
    ...['--test-reporter=./scripts/test-reporter.mjs', `--test-reporter-destination=${log}.json`],
  ]
  const command = step.file ? ['node', ...reporters, step.file] : (step.command?.split(' ') ?? programs(step))
  const longestMs = step.file ? LONGEST_MS.tests : LONGEST_MS.others
  underWay.add(step.name)
  const isCompiling = step.cargo || step.name === 'wasm'
  const { code, late } = await runStep(timed(command, isCompiling), { log: `${log}.log`, env: step.env, longestMs })
  underWay.delete(step.name)
  const text = readFileSync(`${log}.log`, 'utf8')
  const { passed, failed } = step.file ? counted(`${log}.json`) : counts(text)
  // A filter that matches nothing passes, too.
  const isEmpty = code === 0 && passed === 0 && (step.file ?? step.programs) !== undefined
  const ok = code === 0 && !isEmpty
  if (late) failed.push(endedBy(longestMs))
  else if (isEmpty) failed.push('no test ran')
  else if (!ok && failed.length === 0) failed.push('')
  const outcome = ok ? 'ok' : late ? `FAILED, ${endedBy(longestMs)}` : 'FAILED'
  const told = `${step.name}: ${outcome}, ${seconds(from)} s${passed > 0 ? `, ${passed} passed` : ''}`
  say(told)
  const why = ok ? '' : `${excerpt(text)}\n         the whole output is in ${log}.log`
  if (!ok) console.log(why)
  const [, user, system] = text.match(/^processor time: ([\d.]+) ([\d.]+)$/m) ?? [0, 0, 0]
  return { step, ok, seconds: seconds(from), processor: Number(user) + Number(system), passed, failed, why }
}

/**
 * Returns a command that also prints the processor time that the given one and its child processes took, in seconds.
 *
 * Linux shares the processors between sessions, and browsers have many: without a higher share, the longest step of all, compiling, would
 * get a fifth of one processor. Only root may set it.
 */
function timed(command, isCompiling) {
  const share = isCompiling ? 'echo -5 2>/dev/null >/proc/self/autogroup; ' : ''
  return ['bash', '-c', `${share}TIMEFORMAT="processor time: %U %S"; time "$@"`, 'step', ...command]
}

/** Returns the result of the reporter for Node's tests; nothing when the process died before its end. */
function counted(file) {
  const text = existsSync(file) ? readFileSync(file, 'utf8') : ''
  return text === '' ? { passed: 0, failed: [] } : JSON.parse(text)
}

/**
 * Parses the output of other programs: "test result: ok. 12 passed" and "test a::b ... FAILED" of cargo, "ℹ pass 12" of Node, and
 * "11 steps passed" and "FAIL name: why" of the demo.
 */
function counts(text) {
  const sum = (pattern) => [...text.matchAll(pattern)].reduce((total, [, n]) => total + Number(n), 0)
  const passed = sum(/^test result: .*?(\d+) passed/gm) + sum(/^ℹ pass (\d+)/gm) + sum(/^(\d+) steps passed/gm)
  const failed = [
    ...text.matchAll(/^test (\S+)(?: - should panic)? \.\.\. FAILED/gm),
    ...text.matchAll(/^FAIL +(.+?):/gm),
  ]
  return { passed, failed: failed.map(([, name]) => name) }
}

/** Returns the end of a failed step's output; Node's tests list the failures at their end. */
function excerpt(text) {
  const lines = text.split('\n')
  const from = lines.findIndex((line) => line.startsWith('✖ failing tests:'))
  return (from < 0 ? lines.slice(-60) : lines.slice(from, from + 200)).join('\n')
}

// Runs steps one at a time: the next one whose dependencies are done, unless it needs cargo's lock and another step has it.
const results = new Map()
const waiting = [...steps]
let cargoBusy = false
async function lane() {
  while (waiting.length > 0) {
    const at = waiting.findIndex((step) => !(step.cargo && cargoBusy) && step.after.every((name) => results.has(name)))
    if (at < 0) {
      await new Promise((resolve) => setTimeout(resolve, 100))
      continue
    }
    const [step] = waiting.splice(at, 1)
    const broken = step.after.find((name) => !results.get(name).ok)
    if (step.cargo) cargoBusy = true
    const missing = { step, ok: false, seconds: 0, processor: 0, passed: 0, failed: [`not run without ${broken}`] }
    results.set(step.name, broken ? missing : await run(step))
    if (step.cargo) cargoBusy = false
  }
}
const isWhole = USUAL_PARTS.every((part) => chosen.some((step) => step.part === part))
const total = isWhole ? ': 12 to 35 minutes on 2 cores, by the machine' : ''
say(`${steps.length} steps, ${SIDE_BY_SIDE} side by side${total}`)
await Promise.all(Array.from({ length: SIDE_BY_SIDE }, lane))

const all = [...results.values()]
console.log('\n  seconds  of processor time  passed  the slowest first')
for (const { step, seconds: took, processor, passed } of all.toSorted((a, b) => b.seconds - a.seconds)) {
  const columns = [String(took).padStart(9), processor.toFixed(0).padStart(19), String(passed || '').padStart(8)]
  console.log(`${columns.join('')}  ${step.name}`)
}
const processor = all.reduce((total, result) => total + result.processor, 0)
console.log(`${processor.toFixed(0).padStart(28)}          together`)
// Again at the end: of a long output, often only the end is kept.
for (const { step, why } of all.filter(({ ok }) => !ok)) if (why) console.log(`\nfailed: ${step.name}\n${why}`)
const failed = all.flatMap(({ step, failed }) => failed.map((name) => (name ? `${step.name} › ${name}` : step.name)))
const passed = all.reduce((total, result) => total + result.passed, 0)
console.log(`\n${passed} passed, ${failed.length} failed, in ${seconds(started)} s`)
if (failed.length > 0) console.log(`FAILED: ${failed.join('; ')}`)
process.exit(failed.length > 0 ? 1 : 0)
