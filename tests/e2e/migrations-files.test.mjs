// Folders of migrations of other tools, as they are: run, and reverted where there is a way back.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { freshName, suite, test } from './harness.mjs'

const context = suite()
const folders = fileURLToPath(new URL('../fixtures/migrations/', import.meta.url))

/** All texts of a folder, by path. */
function filesOf(tool) {
  const files = readdirSync(`${folders}${tool}`, { recursive: true, withFileTypes: true }).filter((one) => one.isFile())
  return Object.fromEntries(
    files.map((one) => {
      const path = `${one.parentPath ?? one.path}/${one.name}`
      return [`./${path.slice(folders.length)}`, readFileSync(path, 'utf8')]
    }),
  )
}

/** The tables that each makes. */
const tools = {
  'drizzle-kit': ['posts', 'users'],
  dbmate: ['log', 'posts', 'users'],
  'node-pg-migrate': ['posts', 'users'],
  flyway: ['posts', 'users'],
  prisma: ['posts', 'users'],
}

for (const [tool, tables] of Object.entries(tools)) {
  test(`the folder of ${tool} runs as it is`, async () => {
    const page = await context.page()
    const result = await page.evaluate(
      async ([name, files]) => {
        const db = await window.open({ name, migrations: window.tidelock.migrationsFrom(files) })
        await db.exec("INSERT INTO users (email) VALUES ('a@b'); INSERT INTO posts (author, title) VALUES (1, 't')")
        const sql = `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name`
        const out = {
          tables: (await db.query(sql)).map((row) => row.name).filter((one) => one !== 'schema_migrations'),
          states: (await db.migrations.status()).map((row) => row.state),
          drift: await db.migrations.drift(),
          orphan: await window.failure(db.run('INSERT INTO posts (author, title) VALUES (99, 0)')),
        }
        await db.close()
        return out
      },
      [freshName(), filesOf(tool)],
    )
    await page.close()
    assert.deepEqual(result.tables, tables)
    assert.ok(result.states.every((state) => state === 'applied'))
    assert.deepEqual(result.drift, { added: [], removed: [], changed: [] })
    assert.equal(result.orphan.details.sqliteCode, 'SQLITE_CONSTRAINT_FOREIGNKEY', 'foreign keys are on again')
  })
}

test('what dbmate wrote goes back, too', async () => {
  const page = await context.page()
  const result = await page.evaluate(
    async ([name, files]) => {
      const db = await window.open({ name, migrations: window.tidelock.migrationsFrom(files) })
      const stuck = await window.failure(db.migrations.revert())
      await db.migrations.forget('20261120173410')
      const { reverted } = await db.migrations.revert({ steps: 2 })
      const left = await db.query(
        "SELECT name FROM sqlite_schema WHERE name IN ('users', 'posts', 'log', 'posts_logged')",
      )
      await db.close()
      return { stuck, reverted: reverted.map((one) => one.name), left }
    },
    [freshName(), filesOf('dbmate')],
  )
  await page.close()
  assert.equal(result.stuck.code, 'migration_irreversible', 'VACUUM has no way back')
  assert.deepEqual([result.reverted, result.left], [['add_posts', 'create_users'], []])
})
