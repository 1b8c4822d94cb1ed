// Recovering databases whose schema needs more than SQLite's core.
import assert from 'node:assert/strict'
import { freshName, suite, test } from './harness.mjs'

const context = suite()
const here = { only: 'current', because: 'recover runs in the thread that calls it' }

/** Makes a database by a script (in the page: `options` may have functions), commits three times more, and damages the commit before the last. */
const makeDamaged = `async (options, script) => {
  const db = await window.tidelock.open({ ...options, snapshots: false })
  await db.exec(script)
  for (const n of [1, 2, 3]) await db.exec('CREATE TABLE later' + n + ' (x)')
  await db.close()
  const database = await new Promise((resolve, reject) => {
    const request = indexedDB.open('tidelock/' + options.name)
    request.onerror = () => reject(request.error)
    request.onsuccess = () => resolve(request.result)
  })
  const transaction = database.transaction('log', 'readwrite')
  const keys = transaction.objectStore('log').getAllKeys()
  keys.onsuccess = () => transaction.objectStore('log').delete(keys.result.at(-2))
  await new Promise((resolve) => { transaction.oncomplete = resolve })
  database.close()
}`

test('a schema with JSON functions and full-text search is recovered and checked', here, async () => {
  const page = await context.page()
  const result = await page.evaluate(
    async ({ name, makeDamaged }) => {
      await new Function(`return (${makeDamaged})`)()(
        { name },
        `CREATE TABLE notes (body TEXT CHECK (json_valid(body)), title TEXT AS (body ->> 'title') STORED);
         CREATE INDEX by_size ON notes (json_extract(body, '$.size'));
         CREATE VIRTUAL TABLE found USING fts5 (body);
         INSERT INTO notes (body) VALUES ('{"title":"a","size":1}'), ('{"title":"b","size":2}');
         INSERT INTO found (body) SELECT title FROM notes`,
      )
      const report = await window.failure(() => window.tidelock.recover(name))
      const db = await window.open({ name })
      const rows = await db.query('SELECT title FROM notes ORDER BY 1')
      await db.close()
      return { report, rows }
    },
    { name: freshName(), makeDamaged },
  )
  assert.equal(result.report.code, undefined, result.report.message)
  const { changed, lostBatches, problems } = result.report.resolved
  assert.deepEqual([changed, lostBatches, problems], [true, 2, []])
  assert.deepEqual(result.rows, [{ title: 'a' }, { title: 'b' }])
})

test(
  'a schema with functions, collations and encrypt is recovered, and checked where they are given',
  here,
  async () => {
    const page = await context.page()
    const result = await page.evaluate(
      async ({ names, makeDamaged }) => {
        const make = new Function(`return (${makeDamaged})`)()
        const functions = {
          scalar: { slug: { fn: (text) => String(text).toLowerCase(), deterministic: true } },
          collation: { backwards: (one, other) => (one < other ? 1 : one > other ? -1 : 0) },
        }
        const columnKey = new Uint8Array(32).fill(7)
        const script = `CREATE TABLE posts (title TEXT COLLATE backwards, slug TEXT AS (slug(title)) STORED,
          secret BLOB DEFAULT (encrypt('none')), CHECK (length(encrypt(title)) > 33), CHECK (slug(title) <> 'other'));
        CREATE UNIQUE INDEX by_slug ON posts (slug(title));
        CREATE INDEX by_title ON posts (title);
        INSERT INTO posts (title) VALUES ('Hello'), ('World')`
        const found = []
        for (const [name, given] of [
          [names[0], { functions, columnKey }],
          [names[1], {}],
          [
            names[2],
            { functions: { ...functions, scalar: { slug: { fn: () => 'other', deterministic: true } } }, columnKey },
          ],
        ]) {
          await make({ name, functions, columnKey }, script)
          found.push(await window.failure(() => window.tidelock.recover(name, given)))
        }
        const db = await window.tidelock.open({ name: names[1], functions, columnKey })
        const rows = await db.query("SELECT title, decrypt(secret) AS secret FROM posts WHERE slug(title) = 'world'")
        await db.close()
        const wrong = []
        for (const given of [{ functions: 1 }, { columnKey: new Uint8Array(31) }])
          wrong.push((await window.failure(() => window.tidelock.recover(names[0], given))).code)
        return { found, rows, wrong }
      },
      { names: [freshName(), freshName(), freshName()], makeDamaged },
    )
    for (const { code, message, resolved } of result.found) {
      assert.equal(code, undefined, message)
      assert.deepEqual([resolved.changed, resolved.lostBatches], [true, 2])
    }
    const problems = result.found.map(({ resolved }) => resolved.problems)
    assert.deepEqual(problems[0], [])
    assert.equal(problems[1].length, 1)
    assert.match(problems[1][0], /quick_check can't run.*(slug|backwards|encrypt)/)
    // The functions that are given are those that are asked.
    assert.match(problems[2].join(), /CHECK constraint failed in posts/)
    assert.deepEqual(result.rows, [{ title: 'World', secret: 'none' }])
    assert.deepEqual(result.wrong, ['invalid_argument', 'invalid_argument'])
  },
)
