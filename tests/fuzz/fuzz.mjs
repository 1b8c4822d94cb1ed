// node tests/fuzz/fuzz.mjs [--seconds N] [--target T] [--seed S] [--from S]
//
// Random input of every kind that comes from outside, given to the built package: it is taken or refused by a typed error; nothing hangs,
// takes memory without bound, or is written elsewhere. First come all inputs that ever failed (corpus/), then the targets take turns for
// N seconds (600). `--seed S`: that one case. `--from S`: begins with this seed, so that each run has the same cases.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { entriesOf, keep } from './corpus.mjs'
import { Watched } from './watched.mjs'

/** How long a turn is. */
const TURN_MS = 1500

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
  /** How many cases ended how. */
  outcomes: new Map(),
}))

function options() {
  const wrong = (why) => {
    console.error(`build.sh: ${why}`)
    process.exit(2)
  }
  const number = (name, text) => (/^\d+$/.test(text) ? Number(text) : wrong(`--${name} wants a number`))
  try {
    const { values } = parseArgs({
      options: Object.fromEntries(['seconds', 'target', 'seed', 'from'].map((name) => [name, { type: 'string' }])),
    })
    if (values.target !== undefined && !all.includes(values.target)) wrong(`the targets are ${all.join(', ')}`)
    if (values.seed !== undefined && values.target === undefined) wrong('--seed is of a --target')
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

/** Runs one case, and says what was wrong with it. */
async function run(target, seed) {
  const { input, failure, outcome } = await target.watched.run({ seed })
  target.cases++
  if (outcome !== undefined) target.outcomes.set(outcome, (target.outcomes.get(outcome) ?? 0) + 1)
  if (failure === undefined) return
  target.failed++
  console.log(`\nFAILED ${target.name}: --target ${target.name} --seed ${seed}\n${failure}`)
  if (input !== undefined) console.log(`The input is kept in ${keep(target.name, seed, input, failure)}`)
}

/** Whether the inputs that ever failed are treated right now. */
async function replay(target) {
  for (const { name, known, input } of entriesOf(target.name)) {
    const { failure } = await target.watched.run({ input })
    if (known !== undefined && failure !== undefined) console.log(`known: ${name}: ${known}`)
    else if (known !== undefined) console.log(`${name} doesn't fail any more: take out why it was known`)
    else if (failure !== undefined) console.log(`\nFAILED ${target.name}: corpus/${name}\n${failure}`)
    if ((known === undefined) !== (failure === undefined)) target.failed++
  }
}

/** Says what was done, and ends with 1 if anything failed. */
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
    const until = Math.min(begun + TURN_MS, end)
    while (performance.now() < until) await run(target, target.next++)
    target.ms += performance.now() - begun
  }
finish()
