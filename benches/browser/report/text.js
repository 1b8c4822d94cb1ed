// A report as text: tables for a terminal, and for Markdown.

import { callers, engines } from '../engines/index.js'
import { columnsOf, compare, ownRatio } from './ratios.js'

/** A suite's tables, `{ heading, rows }[]`: each row an array of cells, the first one the header. */
export function tables(suite) {
  const made = suite.contests.map((contest) => {
    const ids = columnsOf(contest).filter((id) => Object.values(suite.results).some((row) => row[id]))
    const rows = [['', ...ids.map((id) => engines[id].label), 'to the best']]
    if (new Set(ids.map((id) => engines[id].place)).size > 1 && !suite.unit) {
      rows.push(['the caller is on', ...ids.map((id) => callers[engines[id].place]), ''])
    }
    for (const [step, label] of Object.entries(suite.steps)) {
      const row = compare(suite, contest, step)
      const cells = ids.map((id) => show(suite.results[step]?.[id]?.median))
      if (cells.some((cell) => cell !== '-')) rows.push([label, ...cells, row ? row.ratio.toFixed(2) : '-'])
    }
    return { heading: `${suite.title}; the caller ${contest.caller}; median ${suite.unit ?? 'ms'}`, rows, contest }
  })
  if (suite.contests.length === 0) {
    const [id] = Object.values(suite.results).flatMap(Object.keys)
    const rows = Object.entries(suite.steps).map(([step, label]) => [
      label,
      show(Object.values(suite.results[step] ?? {})[0]?.median),
    ])
    made.push({ heading: `${suite.title}; median`, rows: [['', engines[id]?.label ?? ''], ...rows] })
  }
  if (suite.ratios) {
    const rows = Object.entries(suite.ratios).map(([name, ratio]) => [name, show(ownRatio(suite, ratio))])
    made.push({ heading: `${suite.title}: ratios`, rows: [['', 'ratio'], ...rows] })
  }
  return made
}

/** What a reader has to know besides: engines that didn't run and why, steps left out, results that differ. */
export function remarks(suite) {
  const ran = new Set(Object.values(suite.results).flatMap((row) => Object.keys(row)))
  return [
    ...Object.entries(suite.notRun).map(([id, why]) => `not run: ${engines[id].label}: ${why}`),
    ...[...ran]
      .flatMap((id) => Object.entries(engines[id].lacks ?? {}).map(([what, why]) => [id, what, why]))
      .filter(([, what]) => what in suite.steps && Object.keys(suite.results).includes(what))
      .map(([id, what, why]) => `left out: ${suite.steps[what]} by ${engines[id].label}: ${why}`),
    ...suite.differ.map(({ step, digests }) => {
      const each = Object.entries(digests).map(([id, digest]) => `${id} ${digest}`)
      return `RESULTS DIFFER in ${suite.steps[step]}: ${each.join(', ')}`
    }),
  ]
}

/** For a terminal. */
export function asText(suite) {
  const lines = []
  for (const { heading, rows } of tables(suite)) lines.push('', heading, ...aligned(rows))
  return [...lines, ...remarks(suite)].join('\n')
}

/** For Markdown. */
export function asMarkdown(suite) {
  const list = remarks(suite).map((one) => `- ${one}`)
  return [...tables(suite).map(markdown), ...(list.length > 0 ? [list.join('\n')] : [])].join('\n\n')
}

/** One of the tables. */
export function markdown({ heading, rows: [head, ...rows] }) {
  const line = (cells) => `| ${cells.join(' | ')} |`
  return [`${heading}:`, '', line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

/** The goals with what was reached. */
export function goalsAsText(judged) {
  const rows = judged.map(({ text, max, value, met, floor }) => [
    text,
    value === undefined ? 'not measured' : value.toFixed(2),
    `at most ${max}`,
    met ? 'met' : 'MISSED',
    floor === undefined ? '' : floor.toFixed(2),
  ])
  return ['', 'goals', ...aligned([['', 'is', 'goal', '', 'floor'], ...rows])].join('\n')
}

function aligned(rows) {
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)))
  return rows.map((row) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  '),
  )
}

function show(value) {
  if (value === undefined) return '-'
  return value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)
}
