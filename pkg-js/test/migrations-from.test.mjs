import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { migrationsFrom } from '../src/api/migrations-from.ts'

const up = 'CREATE TABLE t(a);\n'
const down = 'DROP TABLE t;\n'

const understood = {
  'plain files, with and without folders': [
    { './migrations/0002_b.sql': 'B', './migrations/0001_a.sql': 'A', '10_j.sql': 'J' },
    [
      { version: '0001', name: 'a', up: 'A' },
      { version: '0002', name: 'b', up: 'B' },
      { version: '10', name: 'j', up: 'J' },
    ],
  ],
  pairs: [
    { 'm/0001_create_users.up.sql': up, 'm/0001_create_users.down.sql': down, 'm/0002_only.up.sql': 'B' },
    [
      { version: '0001', name: 'create_users', up, down },
      { version: '0002', name: 'only', up: 'B' },
    ],
  ],
  Prisma: [
    {
      'prisma/migrations/20250709035454_init/migration.sql': up,
      'prisma/migrations/20250709035454_init/down.sql': down,
      'prisma/migrations/20250710000000_more/migration.sql': 'B',
      'prisma/migrations/migration_lock.toml': 'provider = "sqlite"',
    },
    [
      { version: '20250709035454', name: 'init', up, down },
      { version: '20250710000000', name: 'more', up: 'B' },
    ],
  ],
  'drizzle-kit': [
    {
      './drizzle/0000_left_hulk.sql': 'CREATE TABLE a(b);\n--> statement-breakpoint\nCREATE TABLE c(d);',
      './drizzle/meta/_journal.json': '{}',
      './drizzle/meta/0000_snapshot.json': '{}',
      './drizzle/20260101000000_new/migration.sql': 'B',
      './drizzle/20260101000000_new/snapshot.json': '{}',
    },
    [
      { version: '0000', name: 'left_hulk', up: 'CREATE TABLE a(b);\n--> statement-breakpoint\nCREATE TABLE c(d);' },
      { version: '20260101000000', name: 'new', up: 'B' },
    ],
  ],
  Flyway: [
    { 'sql/V1__init.sql': up, 'sql/U1__init.sql': down, 'sql/V1_1__more.sql': 'B', 'sql/V2.3__last.sql': 'C' },
    [
      { version: '1', name: 'init', up, down },
      { version: '1.1', name: 'more', up: 'B' },
      { version: '2.3', name: 'last', up: 'C' },
    ],
  ],
  dbmate: [
    {
      'db/20250101000000_a.sql': `-- a comment\n-- migrate:up\n${up}\n-- migrate:down\n${down}`,
      'db/20250101000001_b.sql': '-- migrate:up transaction:false\r\nVACUUM;\r\n-- migrate:down\r\n-- nothing\r\n',
      'db/20250101000002_c.sql': '\ufeff--migrate:up\nC;',
    },
    [
      {
        version: '20250101000000',
        name: 'a',
        up: `-- a comment\n-- migrate:up\n${up}\n`,
        down: `-- migrate:down\n${down}`,
      },
      {
        version: '20250101000001',
        name: 'b',
        up: '-- migrate:up transaction:false\r\nVACUUM;\r\n',
        transaction: false,
      },
      { version: '20250101000002', name: 'c', up: '--migrate:up\nC;' },
    ],
  ],
  'versions in the order of their numbers, however long': [
    {
      '9_a.sql': 'A',
      '10_b.sql': 'B',
      '009.5-c.sql': 'C',
      '123456789012345678901234567890_d.sql': 'D',
      '0011.sql': 'E',
    },
    [
      { version: '9', name: 'a', up: 'A' },
      { version: '009.5', name: 'c', up: 'C' },
      { version: '10', name: 'b', up: 'B' },
      { version: '0011', name: '0011', up: 'E' },
      { version: '123456789012345678901234567890', name: 'd', up: 'D' },
    ],
  ],
  'node-pg-migrate': [
    {
      'migrations/1795196030082_create-users.sql': `-- Up Migration\n${up}\n-- Down Migration\n${down}`,
      'migrations/1795196033103_irreversible.sql': '-- Up Migration\nB;\n\n-- Down Migration',
    },
    [
      {
        version: '1795196030082',
        name: 'create-users',
        up: `-- Up Migration\n${up}\n`,
        down: `-- Down Migration\n${down}`,
      },
      { version: '1795196033103', name: 'irreversible', up: '-- Up Migration\nB;\n\n' },
    ],
  ],
  'quotes and comments with anything in them': [
    { '1_a.sql': "SELECT 'it''s -- /* \" [' /* ' */ -- '\n, \"a\"\"'b\", `'`, [']" },
    [{ version: '1', name: 'a', up: "SELECT 'it''s -- /* \" [' /* ' */ -- '\n, \"a\"\"'b\", `'`, [']" }],
  ],
  'Windows paths and nothing at all': [
    { 'm\\0001_a.sql': 'A', 'm\\readme.md': '' },
    [{ version: '0001', name: 'a', up: 'A' }],
  ],
  'no files': [{}, []],
}

for (const [what, [files, migrations]] of Object.entries(understood)) {
  test(what, () => assert.deepEqual(migrationsFrom(files), migrations))
}

// The test is bundled into another folder, so import.meta.url can't be used.
const folders = join(process.cwd(), 'tests/fixtures/migrations')

/** Returns the texts of a folder by path. */
function filesOf(tool) {
  const paths = readdirSync(join(folders, tool), { recursive: true }).filter((path) => path.endsWith('.sql'))
  return Object.fromEntries(paths.map((path) => [`./${tool}/${path}`, readFileSync(join(folders, tool, path), 'utf8')]))
}

test('the cases that the crate has, too', () => {
  const cases = JSON.parse(readFileSync(join(folders, 'cases.json'), 'utf8'))
  for (const { files, migrations, refused } of cases) {
    const made = () => migrationsFrom(Object.fromEntries(files))
    if (refused === undefined) assert.deepEqual(made(), migrations)
    else
      assert.throws(made, ({ code, message, hint, details: { line } }) => {
        assert.deepEqual({ code, message, hint, line }, refused)
        return true
      })
  }
})

const tools = {
  'drizzle-kit': ['0000 step1', '0001 step2'],
  dbmate: ['20261120173353 create_users, back', '20261120173401 add_posts, back', '20261120173410 compact, alone'],
  'node-pg-migrate': ['1795196030082 create-users, back', '1795196033103 add-posts'],
  flyway: ['1 Create_users, back', '1.1 Add_posts', '2 Add_body'],
  prisma: ['20251120100000 init', '20251120110000 posts'],
}

for (const [tool, expected] of Object.entries(tools)) {
  test(`the folder of ${tool} as it is`, () => {
    const all = migrationsFrom(filesOf(tool)).map(
      ({ version, name, down, transaction }) =>
        `${version} ${name}${down === undefined ? '' : ', back'}${transaction === false ? ', alone' : ''}`,
    )
    assert.deepEqual(all, expected)
  })
}
