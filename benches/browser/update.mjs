// Writes a report to the places that keep it: benches/baseline.json, the chart, and the tables of docs/performance.md and benches/README.md
// (between `<!-- bench NAME -->` and `<!-- /bench -->`). Suites that the report lacks stay as they are.

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { engines } from './engines/index.js'
import { chart } from './report/chart.js'
import { judge } from './report/goals.js'
import { allRatios, compare } from './report/ratios.js'
import { asMarkdown, markdown, tables } from './report/text.js'
import { suites } from './suites/index.js'

/** `root` is the repository's folder. */
export async function update(root, report) {
  const baseline = join(root, 'benches/baseline.json')
  const known = JSON.parse(await readFile(baseline, 'utf8').catch(() => '{}'))
  const ratios = Object.fromEntries(Object.entries(allRatios(report)).map(([name, { ratio }]) => [name, round(ratio)]))
  const { chromium, cpus, peers } = report
  const merged = Object.entries({ ...known.ratios, ...ratios }).sort(([a], [b]) => (a < b ? -1 : 1))
  await writeFile(
    baseline,
    `${JSON.stringify({ chromium, cpus, peers, ratios: Object.fromEntries(merged) }, null, 2)}\n`,
  )

  const texts = Object.fromEntries(Object.entries(report.suites).map(([name, suite]) => [name, asMarkdown(suite)]))
  // Of everything, or of nothing: a part of them would pass for all.
  if (Object.entries(suites).every(([name, { byName }]) => byName || report.suites[name]) && report.suites.size) {
    texts.goals = goals(report)
    texts.behind = behind(report)
  }
  const versions = Object.entries(peers).map(([name, version]) => `${name} ${version}`)
  texts.run = inLines(`Chromium ${chromium}, ${cpus} cores, medians of ${report.rounds}; ${versions.join(', ')}.`)
  for (const [name, suite] of Object.entries(report.suites)) texts[`${name} in short`] = first(suite)
  for (const file of ['docs/performance.md', 'benches/README.md']) await fill(join(root, file), texts)
  if (report.suites.app && report.suites.durable) await writeFile(join(root, 'docs/benchmark.svg'), chart(report))
  console.log('written: benches/baseline.json, benches/README.md, docs/performance.md, docs/benchmark.svg')
}

/** A text in lines of at most 120 characters. */
function inLines(text) {
  return text.replaceAll(/(.{1,120})(?: |$)/g, '$1\n').trimEnd()
}

async function fill(file, texts) {
  const text = await readFile(file, 'utf8')
  const filled = text.replace(/(<!-- bench ([^>]+?) -->\n)[\s\S]*?(<!-- \/bench -->)/g, (all, head, name, foot) =>
    texts[name] ? `${head}\n${texts[name]}\n\n${foot}` : all,
  )
  await writeFile(file, filled)
}

/** The table of a suite's first contest, of the steps that matter most. */
function first(suite) {
  const names = suite.kept ?? Object.keys(suite.steps)
  const steps = Object.fromEntries(names.map((name) => [name, suite.steps[name]]))
  return tables({ ...suite, steps })
    .slice(0, 1)
    .map(markdown)
    .join()
}

function goals(report) {
  const judged = judge(report)
  if (judged.length === 0) return undefined
  const rows = judged.map(
    ({ text, max, value, met, floor }) =>
      `| ${text} | ${value === undefined ? 'not measured' : round(value)} | ${max} | ${met ? 'met' : '**missed**'} | ${floor === undefined ? '' : round(floor)} |`,
  )
  return ['| work | is | goal | | the floor |', '|---|---|---|---|---|', ...rows].join('\n')
}

/** Where a peer is ahead, in any contest: the cases of the speedtest in one line. */
function behind(report) {
  const found = []
  for (const [name, suite] of Object.entries(report.suites)) {
    for (const contest of suite.contests) {
      const lost = (steps) =>
        steps
          .map((step) => ({ step, row: compare(suite, contest, step) }))
          .filter(({ row }) => row && row.ratio > 1)
          .map(({ step, row }) => ({ step, text: `${engines[row.fastest].label} (${round(row.ratio)})` }))
      const kept = suite.kept ?? Object.keys(suite.steps)
      for (const { step, text } of lost(kept)) found.push(`- ${suite.steps[step]}, ${contest.name}: ${text}`)
      if (name !== 'speedtest') continue
      const cases = lost(Object.keys(suite.steps).filter((step) => !kept.includes(step)))
      found.push(`- cases of the speedtest: ${cases.map(({ step, text }) => `${step} ${text}`).join(', ') || 'none'}`)
    }
  }
  return ['The fastest peer of each such row, and tidelock’s figure to its:', '', ...found].join('\n')
}

function round(value) {
  return Number(value.toPrecision(3))
}
