// node benches/limits.mjs [NAME]... [--update]
//
// How far a database goes, in Node: each case in a process of its own, over the built package, with the time and the most memory that it took.
// `--update` writes the table into docs/limits.md. All cases take some minutes, and some GB of disk in the folder of temporary files.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { open } from '../pkg-js/dist/index.js'

const document = fileURLToPath(new URL('../docs/limits.md', import.meta.url))
const mark = { begin: '<!-- limits -->', end: '<!-- /limits -->' }
const thousandRows = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)'

/** Calls `step` with the number of each of `count` times. */
async function times(count, step) {
  for (let at = 0; at < count; at++) await step(at)
}

/** What `call` fails with, as a table shows it; fails when it doesn't. */
async function errorOf(call) {
  try {
    await call()
  } catch (error) {
    return `\`${error.code}\`: ${error.message}`
  }
  throw new Error('This was expected to fail')
}

function expect(found, expected) {
  if (found !== expected) throw new Error(`${found} instead of ${expected}`)
}

const insert = `${thousandRows} INSERT INTO big (kind, body) SELECT i % 97, randomblob(1000) FROM n`

/** Gigabytes in rows of 1,000 random bytes. */
async function gigabytes(count, { opened, timed }) {
  const db = await opened()
  await db.exec('CREATE TABLE big (id INTEGER PRIMARY KEY, kind INTEGER, body BLOB NOT NULL)')
  await timed(`write ${count},000,000 rows of 1,000 bytes, a thousand in a transaction`, () =>
    times(count * 1000, () => db.run(insert)),
  )
  await timed('read 1,000 of them by their keys', () =>
    times(1000, (at) => db.get('SELECT body FROM big WHERE id = ?', [1 + at * count * 997])),
  )
  await timed('read all of them', async () =>
    expect((await db.get('SELECT sum(length(body)) AS bytes FROM big')).bytes, count * 1e9),
  )
  return db
}

/** Each case: its title, and what it does. */
const cases = {
  file: {
    title: "2 GB, `storage: 'file'`",
    async run(tools) {
      const db = await gigabytes(2, tools)
      await tools.timed('an index over them', () => db.exec('CREATE INDEX by_kind ON big (kind)'))
      const { id } = await tools.timed('a snapshot of it', () => db.snapshots.create())
      await tools.timed('verify the snapshot', async () => expect((await db.snapshots.verify(id)).ok, true))
      await tools.timed('close', () => db.close())
      const again = await tools.timed('open it again, with a row by its key', async () => {
        const again = await tools.opened()
        expect((await again.get('SELECT length(body) AS bytes FROM big WHERE id = 1000000')).bytes, 1000)
        return again
      })
      await again.close()
    },
  },
  memory: {
    title: "1 GB, `storage: 'memory'`",
    async run({ opened, timed }) {
      const db = await gigabytes(1, { opened: () => opened({ storage: 'memory' }), timed })
      const error = await timed('go on to `maxBytes` (1 GiB)', () => errorOf(() => times(100, () => db.run(insert))))
      await timed('close', () => db.close())
      return { error }
    },
  },
  tables: {
    title: '10,000 tables',
    async run({ opened, timed }) {
      const db = await opened()
      const script = Array.from(
        { length: 10_000 },
        (_, at) => `CREATE TABLE t${at} (id INTEGER PRIMARY KEY, name TEXT);`,
      )
      await timed('create them by one `exec`', () => db.exec(script.join('\n')))
      await timed('write a row into each, each its own transaction', () =>
        times(10_000, (at) => db.run(`INSERT INTO t${at} (name) VALUES (?)`, ['a'])),
      )
      await timed('close', () => db.close())
      const again = await timed('open it again, with its first statement', async () => {
        const again = await opened()
        expect((await again.get('SELECT count(*) AS tables FROM sqlite_schema')).tables, 10_000)
        return again
      })
      await again.close()
    },
  },
  parameters: {
    title: '32,766 parameters of a statement',
    async run({ opened, timed }) {
      const db = await opened({ storage: 'memory' })
      const list = (length) => [
        `SELECT count(*) AS n FROM (VALUES ${'(?),'.repeat(length - 1)}(?))`,
        Array(length).fill(7),
      ]
      await timed('bind them all', async () => expect((await db.get(...list(32_766))).n, 32_766))
      const error = await timed('one more', () => errorOf(() => db.get(...list(32_767))))
      await db.close()
      return { error }
    },
  },
  value: {
    title: 'A value of 100 MB',
    async run({ opened, timed }) {
      const db = await opened()
      await db.exec('CREATE TABLE files (id INTEGER PRIMARY KEY, body BLOB)')
      const bytes = new Uint8Array(100_000_000).fill(7)
      await timed('write it', () => db.run('INSERT INTO files (body) VALUES (?)', [bytes]))
      const read = () => db.get('SELECT body FROM files')
      const { body } = await timed('read it, while a checkpoint of it is written', read)
      expect(Buffer.compare(body, bytes), 0)
      await timed('read it again', read)
      const huge = () => db.run('INSERT INTO files (body) VALUES (zeroblob(1000000001))')
      const error = await timed('one of more than 1,000,000,000 bytes', () => errorOf(huge))
      expect((await db.get('SELECT count(*) AS n FROM files')).n, 1)
      await timed('close', () => db.close())
      return { error }
    },
  },
  iterate: {
    title: '1,000,000 rows by `iterate`',
    async run({ opened, timed }) {
      const db = await opened({ storage: 'memory' })
      await db.exec('CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, price REAL, at TEXT)')
      await times(1000, () =>
        db.run(`${thousandRows} INSERT INTO items (name, price, at)
          SELECT 'item ' || i, i * 1.5, '2026-01-01T00:00:00Z' FROM n`),
      )
      await timed('four columns a row, as objects', async () => {
        let count = 0
        for await (const row of db.iterate('SELECT * FROM items')) count += row.id > 0 ? 1 : 0
        expect(count, 1_000_000)
      })
      await timed('the same by `query`', async () => expect((await db.query('SELECT * FROM items')).length, 1_000_000))
      await db.close()
    },
  },
  snapshots: {
    title: '500 snapshots of 10 MB, with a change between them',
    async run({ opened, timed }) {
      const db = await opened()
      await db.exec('CREATE TABLE big (id INTEGER PRIMARY KEY, body BLOB NOT NULL)')
      await times(10, () => db.run(`${thousandRows} INSERT INTO big (body) SELECT randomblob(1000) FROM n`))
      await timed('take them', () =>
        times(500, async (at) => {
          await db.run('UPDATE big SET body = randomblob(1000) WHERE id = ?', [1 + at * 19])
          await db.snapshots.create()
        }),
      )
      const list = await timed('list them', () => db.snapshots.list())
      expect(list.length, 500)
      await timed('restore the oldest', () => db.snapshots.restore(list.at(-1).id))
      const stored = list.reduce((bytes, each) => bytes + each.storedBytes, 0)
      await timed('close', () => db.close())
      const again = await timed('open it again', () => opened())
      await again.close()
      return { more: [`together they take ${Math.round(stored / 1e6)} MB, as separate copies 5,000`] }
    },
  },
}

/** Runs one case here, in a folder of its own → its rows of the table. */
async function measure(name) {
  const folder = mkdtempSync(path.join(tmpdir(), 'tidelock-limits-'))
  const rows = []
  const opened = (options = { storage: 'file', path: path.join(folder, 'limits') }) =>
    open({ name: 'limits', snapshots: { keep: 500 }, ...options })
  const timed = async (what, call) => {
    const from = performance.now()
    const result = await call()
    const seconds = (performance.now() - from) / 1000
    rows.push([what, typeof result === 'string' ? result : '', seconds])
    return result
  }
  try {
    const { more = [] } = (await cases[name].run({ opened, timed })) ?? {}
    for (const what of more) rows.push([what, '', undefined])
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  const memory = `${Math.round(process.resourceUsage().maxRSS / 1024).toLocaleString('en')} MB`
  return rows.map(([what, result, seconds], at) => [
    at === 0 ? cases[name].title : '',
    what,
    shown(seconds),
    at === 0 ? memory : '',
    result || 'works',
  ])
}

function shown(seconds) {
  if (seconds === undefined) return ''
  if (seconds < 0.1) return `${Math.ceil(seconds * 1000)} ms`
  return `${seconds < 10 ? seconds.toPrecision(2) : Math.round(seconds)} s`
}

const words = process.argv.slice(2)
if (words[0] === '--case') {
  console.log(JSON.stringify(await measure(words[1])))
} else {
  const named = words.filter((word) => word in cases)
  const head = ['what', 'how', 'time', 'most memory', 'result']
  const table = [head, head.map(() => '---')]
  for (const name of named.length > 0 ? named : Object.keys(cases)) {
    console.error(`limits: ${name}`)
    const out = execFileSync(process.execPath, [fileURLToPath(import.meta.url), '--case', name], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    table.push(...JSON.parse(out))
  }
  const text = table.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
  console.log(text)
  if (words.includes('--update')) {
    const [before, rest] = readFileSync(document, 'utf8').split(mark.begin)
    writeFileSync(document, `${before}${mark.begin}\n${text}\n${mark.end}${rest.split(mark.end)[1]}`)
  }
}
