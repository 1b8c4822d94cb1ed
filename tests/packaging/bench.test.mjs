// The benchmark itself: that it runs against all its peers, and that its arithmetic is right. What it measures here means nothing.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { chart } from '../../benches/browser/report/chart.js'
import { demangle } from '../../benches/browser/report/demangle.js'
import { judge } from '../../benches/browser/report/goals.js'
import { allRatios, compare, summarize, worse } from '../../benches/browser/report/ratios.js'

const runner = fileURLToPath(new URL('../../benches/browser/run.mjs', import.meta.url))

/** Runs the benchmark on a hundredth of its work, one round → `{ report, picture, output }`. */
async function bench(...given) {
  const folder = await mkdtemp(join(tmpdir(), 'tidelock-bench-test-'))
  try {
    const json = join(folder, 'report.json')
    const args = [runner, ...given, '--rounds', '1', '--scale', '0.01', '--json', json]
    const { stdout } = await promisify(execFile)(process.execPath, args)
    return {
      report: JSON.parse(await readFile(json, 'utf8')),
      picture: await readFile(join(folder, 'report.svg'), 'utf8'),
      output: stdout,
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

test('every engine runs the app’s suite, and all answer the same', async () => {
  const { report, picture, output } = await bench('app')
  const { results, differ, notRun } = report.suites.app
  assert.deepEqual(differ, [])
  assert.deepEqual(failures(notRun), [])
  const peers = ['tidelock', 'official', 'sqljs', 'wa-sqlite', 'sqlocal', 'pglite', 'turso', 'official-worker']
  for (const id of peers) assert.ok(results.objects[id]?.median > 0, `${id} read no rows`)
  assert.ok(results.fts.official && !results.fts.sqljs)
  assert.match(output, /rows as objects +\S+ +at most 0\.2/)
  assert.match(picture, /^<svg [\s\S]*50,000 rows as objects[\s\S]*<\/svg>\n$/)
})

test('the other suites run, stored ones in profiles of their own', async () => {
  const { report } = await bench(
    'speedtest',
    'durable',
    'main-thread',
    'storage',
    'floors',
    '--engines',
    'tidelock,official',
  )
  const { speedtest, durable, storage, floors, 'main-thread': page } = report.suites
  for (const suite of [speedtest, durable, storage, page, floors]) {
    assert.deepEqual(suite.differ, [])
    assert.deepEqual(failures(suite.notRun), [])
  }
  assert.ok(speedtest.results.geomean.tidelock.median > 0)
  assert.ok(speedtest.results[990].official.median > 0)
  assert.ok(durable.results.scan['official-sahpool'].median > 0)
  assert.ok(storage.results.floorStrict['tidelock-relaxed'].median > 0)
  assert.ok(page.results.readTotal.official.median > 0)
  for (const [step, label] of Object.entries(floors.steps)) assert.ok(floors.results[step].floors.median > 0, label)
})

/** Engines that failed; an option that this build of tidelock lacks is none. */
function failures(notRun) {
  return Object.entries(notRun).filter(([, why]) => !why.includes('is not available in this build'))
}

const measured = {
  ours: [{ read: { value: 1, digest: 'a' } }, { read: { value: 3, digest: 'a' } }, { read: { value: 2, digest: 'a' } }],
  slow: [{ read: { value: 8, digest: 'a' } }],
  quick: [{ read: { value: 4, digest: 'b' } }],
}
const contest = { name: 'all', ours: 'ours', peers: ['slow', 'quick', 'absent'] }
const suite = { steps: { read: 'reading', write: 'writing' }, contests: [contest], ...summarize(measured) }

test('medians, ratios to the fastest peer, and answers that differ', () => {
  assert.deepEqual(suite.results.read.ours, { samples: [1, 3, 2], median: 2, min: 1 })
  assert.deepEqual(compare(suite, contest, 'read'), { ours: 2, fastest: 'quick', theirs: 4, ratio: 0.5, least: 0.25 })
  assert.equal(compare(suite, contest, 'read', 'slow').ratio, 0.25)
  assert.equal(compare(suite, contest, 'write'), undefined)
  assert.deepEqual(suite.differ, [{ step: 'read', digests: { ours: 'a', slow: 'a', quick: 'b' } }])
})

test('what is more than 15 % worse than the baseline, by medians and by minima', () => {
  const report = { suites: { app: suite } }
  assert.deepEqual(allRatios(report), { 'app/all/read': { ratio: 0.5, least: 0.25 } })
  assert.deepEqual(worse(report, { 'app/all/read': 0.25 }), [])
  assert.deepEqual(
    worse(report, { 'app/all/read': 0.2 }).map(({ name }) => name),
    ['app/all/read'],
  )
  assert.deepEqual(worse(report, {}), [])
})

test('goals are met, missed or not measured', () => {
  const row = (median) => ({ ours: { median, min: median }, quick: { median: 1, min: 1 } })
  const app = { steps: {}, contests: [contest], results: { objects: row(0.1), inserts: row(0.9) } }
  const judged = Object.fromEntries(judge({ suites: { app } }).map(({ text, met, value }) => [text, [met, value]]))
  assert.deepEqual(judged['rows as objects'], [true, 0.1])
  assert.deepEqual(judged['inserts in one call'], [false, 0.9])
  assert.deepEqual(judged['group-bys'], [false, undefined])
  assert.equal(judged['durable updates, awaited'], undefined)
  const floors = { results: { inserts: { floors: { median: 3 } }, insertsPeer: { floors: { median: 10 } } } }
  const withFloors = judge({ suites: { app, floors } })
  const inserts = withFloors.find(({ text }) => text === 'inserts in one call')
  const [groups] = withFloors.filter(({ text }) => text === 'group-bys')
  assert.deepEqual([inserts.floor, groups.floor], [0.3, undefined])
  assert.match(chart({ suites: {} }), /^<svg /)
})

test('names as Rust writes them', () => {
  assert.equal(demangle('_ZN8tidelock6engine5flush17h0123456789abcdefE'), 'tidelock::engine::flush')
  assert.equal(
    demangle('_ZN60_$LT$alloc..string..String$u20$as$u20$core..fmt..Display$GT$3fmt17h0123456789abcdefE'),
    '<alloc::string::String as core::fmt::Display>::fmt',
  )
  assert.equal(
    demangle('_RNvMs0_NtCsdTQvUip2Qci_8dlmalloc8dlmallocINtB5_8DlmallocNtNtB7_3sys6SystemE4freeCs1LBOKKKN46v_3std'),
    'dlmalloc::dlmalloc::Dlmalloc::sys::System::free',
  )
  assert.equal(demangle('_RNvCs15kBYyAo9fc_7mycrate7example'), 'mycrate::example')
  assert.equal(demangle('sqlite3VdbeExec'), 'sqlite3VdbeExec')
})
