// The code blocks of docs/kysely.md and docs/drizzle.md, run as they stand, in the order of their document.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as drizzleOrm from 'drizzle-orm'
import * as sqliteCore from 'drizzle-orm/sqlite-core'
import { transform } from 'esbuild'
import * as kysely from 'kysely'
import * as tidelock from '../../pkg-js/dist/index.js'
import * as tidelockDrizzle from '../../pkg-js/dist/integrations/drizzle/index.js'
import * as tidelockKysely from '../../pkg-js/dist/integrations/kysely/index.js'
import { blocksOf, textOf } from '../node/documents/blocks.mjs'
import { until } from '../scenarios/run/context.mjs'

const AsyncFunction = (async () => {}).constructor
const create = 'CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT NOT NULL, paid INTEGER NOT NULL DEFAULT 0)'

/** Runs the blocks of a document that have these headings, in one scope → the names at its end. */
async function play(file, headings, scope, results) {
  const blocks = blocksOf(file, textOf(file)).filter(({ id }) => headings.includes(id.slice(file.length + 2)))
  assert.equal(blocks.length, headings.length)
  const opened = []
  const open = async (options) => {
    const database = await tidelock.open({ storage: 'memory', onWarning() {}, ...options })
    opened.push(database)
    return database
  }
  const modules = {
    tidelock: { ...tidelock, open },
    'tidelock/drizzle': tidelockDrizzle,
    'tidelock/kysely': tidelockKysely,
    'drizzle-orm': drizzleOrm,
    'drizzle-orm/sqlite-core': sqliteCore,
    kysely,
  }
  const { code } = await transform(blocks.map((block) => block.code).join('\n'), {
    loader: 'ts',
    target: 'es2022',
    tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } },
  })
  const body = code
    .replaceAll('import.meta.glob(', 'glob(')
    .replace(
      /^import (\{.*?\}) from "([^"]*)";$/gms,
      (_, names, from) => `const ${names} = modules[${JSON.stringify(from)}];`,
    )
  try {
    const all = { modules, ...scope }
    const run = new AsyncFunction(...Object.keys(all), `{ ${body}\nreturn { ${results.join(', ')} } }`)
    return await run(...Object.values(all))
  } finally {
    for (const database of opened) await database.close()
  }
}

const migrations = tidelock.migrationsFrom({ '0001_orders.sql': create })

describe('docs/kysely.md', () => {
  const file = 'docs/kysely.md'
  test('query, transaction and live results', async () => {
    let shown = []
    const show = (rows) => {
      shown = rows
    }
    const scope = { migrations, show, seen: () => until(() => shown.length > 0) }
    const { unpaid } = await play(file, ['Query', 'Transactions', 'Live results'], scope, [
      'unpaid',
      'await: await seen()',
    ])
    assert.deepEqual(unpaid, [{ id: 1, item: 'tea', paid: 0 }])
    assert.deepEqual(shown, [{ id: 1, item: 'tea' }])
  })

  test('migrations', async () => {
    const module = { up: (on) => on.schema.createTable('made').addColumn('id', 'integer').execute() }
    const scope = { migrations, glob: () => ({ './migrations/0001_made.ts': async () => module }) }
    const { tables } = await play(file, ['Query', 'Migrations'], scope, [
      'tables: await kysely.introspection.getTables()',
    ])
    assert.ok(tables.some(({ name }) => name === 'made'))
  })
})

describe('docs/drizzle.md', () => {
  const file = 'docs/drizzle.md'
  test('query, transaction and live results', async () => {
    let shown = []
    const show = (rows) => {
      shown = rows
    }
    const scope = { migrations, show, seen: () => until(() => shown.length > 0) }
    const headings = ['Query', 'Transactions', 'Live results']
    const { unpaid, added, all } = await play(file, headings, scope, ['unpaid', 'added', 'all', 'await: await seen()'])
    assert.deepEqual(unpaid, [{ id: 1, item: 'tea', paid: false }])
    assert.deepEqual([added.changes, all.length], [1, 3])
    assert.deepEqual(
      shown.map(({ item, paid }) => [item, paid]),
      [
        ['tea', true],
        ['rye', true],
      ],
    )
  })

  test('bytes', async () => {
    const { bytes } = await play(file, ['Query (2)'], {}, ['bytes'])
    const files = sqliteCore.sqliteTable('files', { content: bytes() })
    const database = await tidelock.open({ name: 'bytes', storage: 'memory' })
    await database.exec('CREATE TABLE files (content BLOB)')
    const db = tidelockDrizzle.drizzle(database)
    await db.insert(files).values({ content: new Uint8Array([1, 255]) })
    assert.deepEqual(await db.select().from(files), [{ content: new Uint8Array([1, 255]) }])
    await database.close()
  })

  test('migrations by open', async () => {
    const glob = () => ({ './drizzle/0000_orders.sql': create })
    const { rows } = await play(file, ['Migrations'], { glob }, ["rows: await database.query('SELECT * FROM orders')"])
    assert.deepEqual(rows, [])
  })

  test("migrations by Drizzle's table", async () => {
    const database = await tidelock.open({ name: 'made', storage: 'memory' })
    const scope = {
      db: tidelockDrizzle.drizzle(database),
      glob: () => ({ './drizzle/0000_made.sql': 'CREATE TABLE made (id)' }),
      journalText: JSON.stringify({ entries: [{ idx: 0, when: 1, tag: '0000_made' }] }),
    }
    await play(file, ['Migrations (2)'], scope, [])
    assert.deepEqual(await database.query('SELECT * FROM made'), [])
    await database.close()
  })
})
