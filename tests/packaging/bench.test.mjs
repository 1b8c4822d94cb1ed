// The arithmetic of the benchmark.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chart } from '../../benches/browser/report/chart.js'
import { judge } from '../../benches/browser/report/goals.js'
import { allRatios, columnsOf, compare, summarize, worse } from '../../benches/browser/report/ratios.js'

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

test('a goal may be about another contest than the first, and about one peer', () => {
  const opfs = { name: 'opfs', ours: 'files', beside: ['page'], peers: ['official-sahpool', 'quick'] }
  const figure = (median) => ({ median, min: median })
  const results = { scan: { files: figure(3), page: figure(1), 'official-sahpool': figure(4), quick: figure(1) } }
  const durable = { steps: {}, contests: [contest, opfs], results }
  const [scan] = judge({ suites: { durable } }).filter(({ value }) => value !== undefined)
  assert.deepEqual([scan.value, scan.met], [0.75, true])
  assert.deepEqual(columnsOf(opfs), ['files', 'page', 'official-sahpool', 'quick'])
})

test('goals are met, missed or not measured', () => {
  const row = (median) => ({ ours: { median, min: median }, quick: { median: 1, min: 1 } })
  const app = { steps: {}, contests: [contest], results: { objects: row(0.1), inserts: row(0.9) } }
  const judged = Object.fromEntries(judge({ suites: { app } }).map(({ text, met, value }) => [text, [met, value]]))
  assert.deepEqual(judged['rows as objects'], [true, 0.1])
  assert.deepEqual(judged['inserts in one call'], [false, 0.9])
  assert.deepEqual(judged['group-bys'], [false, undefined])
  assert.equal(judged['opfs: durable updates, awaited'], undefined)
  const floors = { results: { inserts: { floors: { median: 3 } }, insertsPeer: { floors: { median: 10 } } } }
  const withFloors = judge({ suites: { app, floors } })
  const inserts = withFloors.find(({ text }) => text === 'inserts in one call')
  const [groups] = withFloors.filter(({ text }) => text === 'group-bys')
  assert.deepEqual([inserts.floor, groups.floor], [0.3, undefined])
  assert.match(chart({ suites: {} }), /^<svg /)
})
