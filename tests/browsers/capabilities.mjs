// What works in a browser, by trying it there: the table of docs/browsers.md.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'

const document = new URL('../../docs/browsers.md', import.meta.url)

/** By row of the table: a function that runs in the page, with a new name for a database. It throws where that doesn't work. */
const capabilities = {
  "`storage: 'indexeddb'`, in the page": (name) => window.keeps({ name, thread: 'current' }),
  "`storage: 'indexeddb'`, `thread: 'worker'`": (name) => window.keeps({ name, thread: 'worker' }),
  "`storage: 'opfs'`, in the page": (name) => window.keeps({ name, thread: 'current', storage: 'opfs' }),
  "`storage: 'opfs'`, `thread: 'worker'`": (name) => window.keeps({ name, thread: 'worker', storage: 'opfs' }),
  '`moveStorage` to OPFS': async (name) => {
    await window.keeps({ name, thread: 'current' })
    await window.tidelock.moveStorage(name, { to: 'opfs' })
    await window.keeps({ name, thread: 'worker', storage: 'opfs' })
  },
  "`tabs: 'shared'`": (name) => window.keeps({ name, tabs: 'shared' }),
  '`encryption`': (name) => window.keeps({ name, encryption: { passphrase: 'correct horse' } }),
  'compressed files of snapshots': async () => {
    const db = await window.tidelock.open({ name: 'compressed', storage: 'memory' })
    const { id } = await db.snapshots.create()
    const file = await db.snapshots.export(id, { compress: true })
    await db.snapshots.import(file)
    await db.close()
  },
  '`directoryTarget`': () => {
    if (typeof window.showDirectoryPicker !== 'function') throw new Error('There is no showDirectoryPicker')
  },
}

/** Runs in the page: adds `keeps`, which opens a database, writes, closes it, and finds what it wrote in a second opening. */
function addKeeps() {
  window.keeps = async (options) => {
    const { open } = window.tidelock
    const first = await open(options)
    await first.exec('CREATE TABLE IF NOT EXISTS t (a); INSERT INTO t VALUES (1)')
    const { n } = await first.get('SELECT count(*) AS n FROM t')
    await first.flush()
    await first.close()
    const again = await open(options)
    const found = await again.get('SELECT count(*) AS n FROM t')
    await again.close()
    if (found.n !== n) throw new Error(`${found.n} of ${n} rows are there`)
  }
}

/** Runs in the page: tries one → undefined, or the code of its error. */
async function attempt([source, name]) {
  try {
    await new Function(`return (${source})`)()(name)
  } catch (error) {
    return error.code ?? String(error)
  }
}

/** Registers a test that tries all of it in pages of a browser, and compares that browser's column of the table with what works. */
export function capabilitiesTest(column, open) {
  test(`docs/browsers.md: what works in ${column}`, async () => {
    const page = await open()
    const found = {}
    try {
      await page.evaluate(addKeeps)
      for (const [row, work] of Object.entries(capabilities)) {
        const name = `capability-${Object.keys(found).length}`
        const code = await page.evaluate(attempt, [work.toString(), name])
        found[row] = code === undefined || code === null ? 'yes' : mark(code)
      }
    } finally {
      await page.close()
    }
    const { head, rows } = table()
    const at = head.indexOf(column)
    assert.ok(at > 0, `docs/browsers.md has no column ${column}`)
    if (process.env.UPDATE_GOLDEN) return write(column, found)
    const written = Object.fromEntries(rows.map((cells) => [cells[0], cells[at]]))
    assert.deepEqual(written, found, 'UPDATE_GOLDEN=1 writes the column')
  })
}

/** What the table shows instead of "yes". */
const mark = (code) => (/^[a-z_]+$/.test(code) ? `\`${code}\`` : 'no')

const between = /(<!-- browsers -->\n\n)((?:\|.*\n)+)(\n<!-- \/browsers -->)/

/** The table as lists of cells. */
function table() {
  const found = readFileSync(document, 'utf8').match(between)
  assert.ok(found, 'docs/browsers.md has no table between the markers')
  const cells = (line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim())
  const [head, , ...rows] = found[2].trim().split('\n').map(cells)
  return { head, rows }
}

function write(column, found) {
  const { head, rows } = table()
  const at = head.indexOf(column)
  const all = Object.entries(found).map(([row, cell]) => {
    const cells = rows.find(([each]) => each === row) ?? [row, ...head.slice(1).map(() => '')]
    return cells.with(at, cell)
  })
  const line = (cells) => `| ${cells.join(' | ')} |\n`
  const text = [head, head.map(() => '---'), ...all]
    .map(line)
    .join('')
    .replaceAll('| --- ', '|---')
    .replaceAll('---|', '---|')
  writeFileSync(
    document,
    readFileSync(document, 'utf8').replace(between, (_, before, _table, after) => before + text + after),
  )
}
