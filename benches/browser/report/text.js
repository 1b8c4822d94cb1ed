// A suite's report as tables of text for a terminal.

import { engines } from '../engines/index.js'
import { compare } from './ratios.js'

/** All contests of a suite: a row a step, a column an engine, and the ratio to the fastest peer. */
export function tables(name, suite) {
  const lines = []
  for (const contest of suite.contests) {
    const ids = [contest.ours, ...contest.peers].filter((id) => !suite.notRun[id])
    lines.push('', `${name}: ${suite.title}, the caller ${contest.caller}; median ms`)
    lines.push(line(['', ...ids.map((id) => engines[id].label), 'to the fastest']))
    for (const [step, label] of Object.entries(suite.steps)) {
      const cells = ids.map((id) => format(suite.results[step]?.[id]?.median))
      const row = compare(suite, contest, step)
      lines.push(line([label, ...cells, row ? row.ratio.toFixed(2) : '-']))
    }
  }
  for (const [id, why] of Object.entries(suite.notRun)) lines.push(`not run: ${engines[id].label}: ${why}`)
  for (const { step, digests } of suite.differ) {
    lines.push(
      `RESULTS DIFFER in ${step}: ${Object.entries(digests)
        .map(([id, digest]) => `${id} ${digest}`)
        .join(', ')}`,
    )
  }
  return lines.join('\n')
}

function format(value) {
  if (value === undefined) return '-'
  return value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)
}

function line([head, ...cells]) {
  return `${head.padEnd(34)}${cells.map((cell) => cell.slice(0, 20).padStart(21)).join('')}`
}
