// Folders of migrations of other tools, unchanged: applied, and reverted where they have down scripts.
import assert from 'node:assert/strict'

/** Returns all texts of a tool's folder (tests/fixtures/migrations) by path. */
async function filesOf(tool) {
  const { readdirSync, readFileSync, statSync } = await import('node:fs')
  const folder = new URL(`../fixtures/migrations/${tool}/`, import.meta.url)
  const paths = readdirSync(folder, { recursive: true }).filter((path) => statSync(new URL(path, folder)).isFile())
  return Object.fromEntries(paths.map((path) => [`./${tool}/${path}`, readFileSync(new URL(path, folder), 'utf8')]))
}

const onDisk = (run) => ({ only: ['node'], because: 'the folders are read from the disk', run })

/** The tables that each folder makes. */
const tools = {
  'drizzle-kit': ['posts', 'users'],
  dbmate: ['log', 'posts', 'users'],
  'node-pg-migrate': ['posts', 'users'],
  flyway: ['posts', 'users'],
  prisma: ['posts', 'users'],
}

const runs = (tool, tables) =>
  onDisk(async ({ tidelock, memory, failure }) => {
    const db = await memory({ migrations: tidelock.migrationsFrom(await filesOf(tool)) })
    const sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    const made = (await db.query(sql)).map(({ name }) => name).filter((name) => name !== 'schema_migrations')
    assert.deepEqual(made, tables)
    assert.ok((await db.migrations.status()).every(({ state }) => state === 'applied'))
    assert.deepEqual(await db.migrations.drift(), { added: [], removed: [], changed: [] })
    await db.exec("INSERT INTO users (email) VALUES ('a@b'); INSERT INTO posts (author, title) VALUES (1, 't')")
    const orphan = await failure(db.run('INSERT INTO posts (author, title) VALUES (99, 0)'))
    assert.equal(orphan.details.sqliteCode, 'SQLITE_CONSTRAINT_FOREIGNKEY', 'foreign keys are on again')
  })

export default {
  ...Object.fromEntries(
    Object.entries(tools).map(([tool, tables]) => [`the folder of ${tool} runs as it is`, runs(tool, tables)]),
  ),

  'migrations of dbmate are reverted, too': onDisk(async ({ tidelock, memory, failure }) => {
    const db = await memory({ migrations: tidelock.migrationsFrom(await filesOf('dbmate')) })
    const stuck = await failure(db.migrations.revert())
    assert.equal(stuck.code, 'migration_irreversible', 'VACUUM has no way back')
    await db.migrations.forget('20261120173410')
    const { reverted } = await db.migrations.revert({ steps: 2 })
    assert.deepEqual(
      reverted.map(({ name }) => name),
      ['add_posts', 'create_users'],
    )
    const left = "SELECT name FROM sqlite_schema WHERE name IN ('users', 'posts', 'log', 'posts_logged')"
    assert.deepEqual(await db.query(left), [])
  }),
}
