// The examples that a browser shows: the README's, whose comments promise what the page prints, and those that need what only a
// browser stores. tests/node/documents.test.mjs runs the others.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { blocksOfDocuments } from '../node/documents/blocks.mjs'
import { freshName, suite, until } from './harness.mjs'

const blocks = new Map(blocksOfDocuments().map(({ id, code }) => [id, code]))

const context = suite()

for (const [what, id, prints] of [
  ['the ten lines', 'README.md: tidelock (2)', 1],
  ['the twenty lines', 'README.md: Twenty lines', 2],
])
  test(`${what} of the README do what they say`, () => keepsItsPromises(blocks.get(id), prints))

/** Runs a block in a page: it prints what its comments promise. */
async function keepsItsPromises(example, prints) {
  const promised = [...example.matchAll(/console\.log\(.*?\) \/\/ (.*)/g)].map(([, comment]) => comment)
  assert.equal(promised.length, prints, 'the example shows what it prints')
  const page = await context.page()
  const printed = await page.evaluate(async (code) => {
    const lines = []
    const log = console.log
    console.log = (value) => lines.push(value)
    // The one thing that a bundler would do: give the import its place.
    const body = code.replace(/import (\{[^}]*\}) from 'tidelock'/, 'const $1 = window.tidelock')
    const AsyncFunction = (async () => {}).constructor
    await new AsyncFunction(body)().finally(() => {
      console.log = log
    })
    return lines
  }, example)
  assert.deepEqual(
    printed,
    promised.map((text) => new Function(`return ${text}`)()),
  )
  await page.close()
}

test('the example of docs/tabs.md, in two tabs, twice', async () => {
  const code = blocks.get('docs/tabs.md: Several tabs, one database')
  const name = freshName()
  const run = (page) =>
    page.evaluate(
      async ([code, name]) => {
        window.shown = []
        const scope = {
          open: (options) => window.open({ ...options, name }),
          migrations: [{ version: '1', name: 'notes', up: 'CREATE TABLE notes (id INTEGER PRIMARY KEY)' }],
          show: (role) => window.shown.push(role),
        }
        const AsyncFunction = (async () => {}).constructor
        window.db = await new AsyncFunction(...Object.keys(scope), `${code}\nreturn db`)(...Object.values(scope))
        return window.db.role
      },
      [code, name],
    )
  for (const rows of [1, 2]) {
    const [first, second] = [await context.page(), await context.page()]
    assert.deepEqual([await run(first), await run(second)], ['leader', 'follower'])
    await second.evaluate(() => window.db.run('INSERT INTO notes DEFAULT VALUES'))
    assert.equal((await first.evaluate(() => window.db.query('SELECT id FROM notes'))).length, rows)
    await first.close()
    await until(() => second.evaluate(() => window.shown.includes('leader')))
    await second.evaluate(() => window.db.close())
    await second.close()
  }
})

test('the example of docs/durability.md that moves a database, twice', async () => {
  const code = blocks.get('docs/durability.md: Move a database to another storage')
  const [page, name] = [await context.page(), freshName()]
  await page.evaluate(async (name) => {
    const db = await window.open({ name })
    await db.exec('CREATE TABLE notes (id INTEGER PRIMARY KEY); INSERT INTO notes DEFAULT VALUES')
    await db.close()
  }, name)
  for (let time = 1; time <= 2; time++) {
    const rows = await page.evaluate(
      async ([code, name]) => {
        const scope = {
          open: (options) => window.open({ ...options, name }),
          moveStorage: (_, options) => window.tidelock.moveStorage(name, options),
        }
        const AsyncFunction = (async () => {}).constructor
        const db = await new AsyncFunction(...Object.keys(scope), `${code}\nreturn db`)(...Object.values(scope))
        const rows = await db.query('SELECT id FROM notes')
        await db.close()
        return rows.length
      },
      [code, name],
    )
    assert.equal(rows, 1)
  }
  await page.close()
})
