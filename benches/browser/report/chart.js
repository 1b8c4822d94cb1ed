// The report as a picture: a row a piece of work, a dot an engine, on a logarithmic scale of time to the fastest peer's.

import { engines } from '../engines/index.js'
import { compare } from './ratios.js'

const shown = { app: undefined, speedtest: ['geomean'], durable: undefined } // all steps of the first contest, or these
const colours = ['#dc2626', '#eab308', '#65a30d', '#7c3aed', '#db2777', '#64748b', '#0284c7']
const width = 920
const left = 260
const right = 30
const top = 84
const rowHeight = 30

/** An SVG document; empty of rows when none of its suites ran. */
export function chart(report) {
  const rows = Object.entries(shown).flatMap(([name, steps]) => {
    const suite = report.suites[name]
    if (!suite) return []
    const contest = suite.contests[0]
    return (steps ?? Object.keys(suite.steps)).flatMap((step) => {
      const row = compare(suite, contest, step)
      if (!row) return []
      const dots = [contest.ours, ...contest.peers]
        .filter((id) => suite.results[step][id])
        .map((id) => ({ id, value: suite.results[step][id].median / row.theirs, ms: suite.results[step][id].median }))
      return [{ label: suite.steps[step], dots }]
    })
  })
  const values = rows.flatMap(({ dots }) => dots.map(({ value }) => value))
  const from = Math.min(0.1, ...values)
  const to = Math.max(10, ...values)
  const x = (value) =>
    left + ((Math.log(value) - Math.log(from)) / (Math.log(to) - Math.log(from))) * (width - left - right)
  const bottom = top + rows.length * rowHeight
  const ticks = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].filter(
    (tick) => tick >= from && tick <= to,
  )
  const names = [...new Set(rows.flatMap(({ dots }) => dots.map(({ id }) => family(id))))]
  const colour = (id) =>
    family(id) === 'tidelock' ? 'var(--ours)' : colours[(names.indexOf(family(id)) - 1) % colours.length]
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${bottom + 36}" font-family="system-ui, sans-serif" font-size="13">
<title>Time of each engine to the fastest peer's</title>
<style>
  svg { --ink: #1c1917; --soft: #78716c; --line: #e7e5e4; --paper: #ffffff; --ours: #0f766e }
  @media (prefers-color-scheme: dark) { svg { --ink: #f5f5f4; --soft: #a8a29e; --line: #44403c; --paper: #1c1917; --ours: #2dd4bf } }
  text { fill: var(--ink) } .soft { fill: var(--soft) } line { stroke: var(--line) } .one { stroke: var(--soft); stroke-dasharray: 3 3 }
</style>
<rect width="100%" height="100%" fill="var(--paper)"/>
<text x="16" y="28" font-size="16" font-weight="600">Time to the fastest peer’s: left is faster</text>
${legend(names, colour)}
${ticks
  .map((tick) => {
    const at = x(tick).toFixed(1)
    return `<line x1="${at}" x2="${at}" y1="${top - 8}" y2="${bottom}"${tick === 1 ? ' class="one"' : ''}/><text class="soft" x="${at}" y="${bottom + 18}" text-anchor="middle">${tick}</text>`
  })
  .join('\n')}
${rows.map(({ label, dots }, i) => line(label, dots, top + i * rowHeight + rowHeight / 2, x, colour)).join('\n')}
</svg>
`
}

function line(label, dots, y, x, colour) {
  const ours = (id) => family(id) === 'tidelock'
  // Ours last, so that it lies on top.
  const circles = [...dots]
    .sort((a, b) => ours(a.id) - ours(b.id))
    .map(
      ({ id, value, ms }) =>
        `<circle cx="${x(value).toFixed(1)}" cy="${y}" r="${ours(id) ? 7 : 4.5}" fill="${colour(id)}" fill-opacity="${ours(id) ? 1 : 0.75}"><title>${engines[id].label}: ${ms.toFixed(1)} ms, ${value.toFixed(2)}</title></circle>`,
    )
  return `<text x="${left - 16}" y="${y + 4}" text-anchor="end">${label}</text>${circles.join('')}`
}

function legend(names, colour) {
  let at = 16
  return names
    .map((name) => {
      const entry = `<circle cx="${at + 6}" cy="51" r="5" fill="${colour(name)}"/><text x="${at + 16}" y="55">${name}</text>`
      at += 30 + name.length * 7.4
      return entry
    })
    .join('')
}

/** An engine by its project's name: the colour stays, whatever it stores in. */
function family(id) {
  return (engines[id]?.label ?? id).split(/,| (?=opfs|Access|IDB|idb)/)[0]
}
