// The benchmark in the visitor's own browser, by the same suites, turns and tables as `./build.sh bench`, which drives this page too.

import { engines } from '../../benches/browser/engines/index.js'
import { chart } from '../../benches/browser/report/chart.js'
import { remarks, tables } from '../../benches/browser/report/text.js'
import { suites } from '../../benches/browser/suites/index.js'
import { round } from '../../benches/browser/suites/round.js'
import { enginesOf, takeTurns } from '../../benches/browser/suites/turns.js'
import { clearSite } from './clear.js'

// What the runner calls: its browsers take the turns.
window.bench = { round }

const byId = (id) => document.getElementById(id)
const status = (text) => {
  byId('status').textContent = text
}
const stopped = new Error('stopped')
let stopping = false
let report

for (const [name, { title, server }] of Object.entries(suites))
  if (!server) byId('suites').append(box('suite', name, title, name === 'app'))
const modules = new Map()
for (const { module, label } of Object.values(engines)) if (module && !modules.has(module)) modules.set(module, label)
for (const [module, label] of modules) byId('engines').append(box('engine', module, label, true))
byId('isolation').innerHTML = crossOriginIsolated
  ? 'This page is cross-origin isolated: all engines run.'
  : 'This page isn’t cross-origin isolated. SQLocal’s files and Turso need that: <a href="./isolated/">open the isolated page</a>.'

byId('form').addEventListener('submit', async (event) => {
  event.preventDefault()
  await run({
    names: chosen('suite'),
    modules: new Set(chosen('engine')),
    rounds: byId('rounds').valueAsNumber,
    scale: Number(byId('scale').value),
  })
})
byId('stop').addEventListener('click', () => {
  stopping = true
  status('Ends after this turn…')
})
byId('save').addEventListener('click', () => {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob([JSON.stringify(report, null, 2)], { type: 'application/json' }))
  link.download = 'bench.json'
  link.click()
  URL.revokeObjectURL(link.href)
})
byId('clear').addEventListener('click', async () => {
  if (
    confirm('Delete everything that this site has stored in this browser: databases in IndexedDB and files in OPFS?')
  ) {
    status(await clearSite())
  }
})

async function run({ names, modules, rounds, scale }) {
  report = { agent: navigator.userAgent, cpus: navigator.hardwareConcurrency, rounds, scale, suites: {} }
  stopping = false
  for (const id of ['run', 'clear']) byId(id).disabled = true
  byId('stop').hidden = false
  byId('tables').replaceChildren()
  try {
    for (const name of names) await runSuite(name, modules, rounds, scale)
    status('Done.')
  } catch (error) {
    status(error === stopped ? 'Stopped.' : `It failed: ${error.message}`)
  } finally {
    for (const id of ['run', 'clear']) byId(id).disabled = false
    byId('stop').hidden = true
    byId('save').hidden = Object.keys(report.suites).length === 0
  }
}

async function runSuite(name, modules, rounds, scale) {
  const suite = suites[name]
  const ids = enginesOf(suite).filter((id) => modules.has(engines[id].module))
  const section = document.createElement('section')
  byId('tables').append(section)
  const show = (made) => {
    report.suites[name] = made
    section.replaceChildren(...tables(made).map(table), list(remarks(made)))
    byId('chart').innerHTML = Object.keys(report.suites).some((one) => one !== 'encryption') ? chart(report) : ''
  }
  const run = (id, part) => {
    if (engines[id].isolated && !crossOriginIsolated) throw new Error('needs a cross-origin isolated page')
    return round(name, id, scale, part)
  }
  const onTurn = async (id, number, soFar) => {
    if (stopping) throw stopped
    const which = number < 0 ? ['preparing', 'to warm up'][number + 2] : `round ${number + 1} of ${rounds}`
    status(`${suite.title}, ${which}: ${engines[id].label}`)
    if (number >= 0) show(soFar())
    // The page paints between turns.
    await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)))
  }
  show(await takeTurns(suite, { rounds, run, onTurn, ids }))
}

/** One of text.js's tables; the least of a row's times stands out, and so do our columns. */
function table({ heading, rows: [head, ...rows], contest }) {
  const made = document.createElement('table')
  made.createCaption().textContent = heading
  const line = made.createTHead().insertRow()
  for (const cell of head) line.append(Object.assign(document.createElement('th'), { textContent: cell, scope: 'col' }))
  const body = made.createTBody()
  for (const [label, ...cells] of rows) {
    const row = body.insertRow()
    row.append(Object.assign(document.createElement('th'), { textContent: label, scope: 'row' }))
    const times = contest ? cells.slice(0, -1).map(Number) : []
    const least = Math.min(...times.filter((ms) => ms >= 0))
    cells.forEach((text, i) => {
      const cell = row.insertCell()
      cell.textContent = text
      if (i < times.length && times[i] === least) cell.className = 'best'
    })
  }
  const wrap = document.createElement('div')
  wrap.className = 'wide'
  wrap.append(made)
  return wrap
}

function list(items) {
  const made = document.createElement('ul')
  made.append(...items.map((text) => Object.assign(document.createElement('li'), { textContent: text })))
  return made
}

function box(kind, value, text, checked) {
  const label = document.createElement('label')
  label.append(
    Object.assign(document.createElement('input'), { type: 'checkbox', name: kind, value, checked }),
    ` ${text}`,
  )
  return label
}

function chosen(kind) {
  return [...document.querySelectorAll(`input[name=${kind}]:checked`)].map(({ value }) => value)
}
