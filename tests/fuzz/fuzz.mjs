// node tests/fuzz/fuzz.mjs [--seconds N] [--target T] [--seed S] [--from S]
//
// Fuzzes the built package with random input of every external kind: each input must be accepted or refused with a typed error, without
// hanging, unbounded memory, or writes elsewhere. All inputs that have failed once (corpus/) run first, then the targets alternate for
// N seconds (600). `--seed S` runs that one case. `--from S` begins with this seed, so that each run has the same cases.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { entriesOf, keep } from './corpus.mjs'
import { Watched } from './watched.mjs'

/** How long a target runs before the next one. */
const SLICE_MS = 1500

const all = readdirSync(path.join(import.meta.dirname, 'targets')).map((file) => file.replace('.mjs', ''))
const { seconds, chosen, seed, from } = options()
const base = mkdtempSync(path.join(tmpdir(), 'tidelock-fuzz-'))
process.on('exit', () => rmSync(base, { recursive: true, force: true }))
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => finish())

const targets = chosen.map((name) => ({
  name,
  watched: new Watched(name, path.join(base, name)),
  next: from,
  cases: 0,
  ms: 0,
  failed: 0,
  /** The number of cases by outcome. */
  outcomes: new Map(),
}))

function options() {
  const wrong = (why) => {
    console.error(`build.sh: ${why}`)
    process.exit(2)
  }
  const number = (name, text) => (/^\d+$/.test(text) ? Number(text) : wrong(`--${name} must be a number`))
  try {
    const { values } = parseArgs({
      options: Object.fromEntries(['seconds', 'target', 'seed', 'from'].map((name) => [name, { type: 'string' }])),
    })
    if (values.target !== undefined && !all.includes(values.target)) wrong(`the targets are ${all.join(', ')}`)
    if (values.seed !== undefined && values.target === undefined) wrong('--seed needs --target')
    return {
      seconds: number('seconds', values.seconds ?? '600'),
      chosen: values.target === undefined ? all : [values.target],
      seed: values.seed === undefined ? undefined : number('seed', values.seed),
      from: number('from', values.from ?? String(Date.now() % 2 ** 31)),
    }
  } catch (error) {
    return wrong(error.message)
  }
}

/** Runs one case and reports its failure. */
async function run(target, seed) {
  const { input, failure, outcome } = await target.watched.run({ seed })
  target.cases++
  if (outcome !== undefined) target.outcomes.set(outcome, (target.outcomes.get(outcome) ?? 0) + 1)
  if (failure === undefined) return
  target.failed++
  console.log(`\nFAILED ${target.name}: --target ${target.name} --seed ${seed}\n${failure}`)
  if (input !== undefined) console.log(`The input is stored in ${keep(target.name, seed, input, failure)}`)
}

/** Runs the target's corpus: known failures must still fail, all others must pass. */
async function replay(target) {
  for (const { name, known, input } of entriesOf(target.name)) {
    const { failure } = await target.watched.run({ input })
    if (known !== undefined && failure !== undefined) console.log(`known: ${name}: ${known}`)
    else if (known !== undefined) console.log(`${name} no longer fails: remove "known"`)
    else if (failure !== undefined) console.log(`\nFAILED ${target.name}: corpus/${name}\n${failure}`)
    if ((known === undefined) !== (failure === undefined)) target.failed++
  }
}

/** Prints the totals; exits with 1 if anything failed. */
function finish() {
  for (const { watched } of targets) watched.stop()
  for (const { name, cases, ms, failed, outcomes } of targets) {
    const often = [...outcomes].toSorted(([, a], [, b]) => b - a).map(([outcome, count]) => `${outcome} ${count}`)
    console.log(`${name}: ${cases} cases, ${Math.round(cases / (ms / 1000 || 1))} a second, ${failed} failed`)
    console.log(`  ${often.join(', ')}`)
  }
  process.exit(targets.some(({ failed }) => failed > 0) ? 1 : 0)
}

if (seed !== undefined) {
  await run(targets[0], seed)
  finish()
}
console.log(`cases from seed ${from} on, for ${seconds} s`)
for (const target of targets) await replay(target)
const end = performance.now() + seconds * 1000
while (performance.now() < end)
  for (const target of targets) {
    const begun = performance.now()
    const until = Math.min(begun + SLICE_MS, end)
    while (performance.now() < until) await run(target, target.next++)
    target.ms += performance.now() - begun
  }
finish()
