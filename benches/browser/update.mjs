// Writes what a report says where it is kept: benches/baseline.json, the tables of docs/performance.md and README.md (between
// `<!-- bench NAME -->` and `<!-- /bench -->`), the chart. Suites that the report lacks stay as they are.

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { engines } from './engines/index.js'
import { chart } from './report/chart.js'
import { judge } from './report/goals.js'
import { allRatios, compare } from './report/ratios.js'
import { asMarkdown } from './report/text.js'

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
  texts.goals = goals(report)
  texts.behind = behind(report)
  texts.run = `Chromium ${chromium}, ${cpus} cores, medians of ${report.rounds}; ${Object.entries(peers)
    .map(([name, version]) => `${name} ${version}`)
    .join(', ')}.`
  for (const [name, suite] of Object.entries(report.suites)) texts[`${name} in short`] = first(suite)
  for (const file of ['docs/performance.md', 'README.md']) await fill(join(root, file), texts)
  if (report.suites.app && report.suites.durable) await writeFile(join(root, 'docs/benchmark.svg'), chart(report))
  console.log('written: benches/baseline.json, docs/performance.md, docs/benchmark.svg, README.md')
}

async function fill(file, texts) {
  const text = await readFile(file, 'utf8')
  const filled = text.replace(/(<!-- bench ([^>]+?) -->\n)[\s\S]*?(<!-- \/bench -->)/g, (all, head, name, foot) =>
    texts[name] ? `${head}\n${texts[name]}\n\n${foot}` : all,
  )
  await writeFile(file, filled)
}

/** The table of a suite's first contest. */
function first(suite) {
  return asMarkdown({ ...suite, contests: suite.contests.slice(0, 1), notRun: {}, ratios: undefined })
}

function goals(report) {
  const judged = judge(report)
  if (judged.length === 0) return undefined
  const rows = judged.map(
    ({ text, max, value, met }) =>
      `| ${text} | ${value === undefined ? 'not measured' : round(value)} | ${max} | ${met ? 'met' : '**missed**'} |`,
  )
  return ['| work | is | goal | |', '|---|---|---|---|', ...rows].join('\n')
}

/** Where a peer is ahead: rows of the first contests, those of the speedtest counted. */
function behind(report) {
  const found = []
  for (const [name, suite] of Object.entries(report.suites)) {
    const [contest] = suite.contests
    if (!contest) continue
    const rows = Object.keys(suite.steps)
      .map((step) => ({ step, row: compare(suite, contest, step) }))
      .filter(({ row }) => row)
    const lost = rows.filter(({ row }) => row.ratio > 1)
    if (name === 'speedtest') {
      const cases = lost.filter(({ step }) => step !== 'geomean').map(({ step }) => step)
      found.push(`- ${cases.length} of the ${rows.length - 1} cases of the speedtest: ${cases.join(', ') || 'none'}`)
    } else {
      found.push(
        ...lost.map(
          ({ step, row }) => `- ${suite.steps[step]}: ${engines[row.fastest].label}, ${round(row.ratio)} times as fast`,
        ),
      )
    }
  }
  return found.length > 0 ? found.join('\n') : undefined
}

function round(value) {
  return Number(value.toPrecision(3))
}
