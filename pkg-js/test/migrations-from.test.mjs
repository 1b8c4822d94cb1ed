import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { migrationsFrom } from '../src/migrations-from.ts'

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
      { version: '20250101000002', name: 'c', up: '\ufeff--migrate:up\nC;' },
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

// Bundled to another place, so not by this file's own address.
const folders = join(process.cwd(), 'tests/fixtures/migrations')

/** The texts of a folder, by path. */
function filesOf(tool) {
  const paths = readdirSync(join(folders, tool), { recursive: true }).filter((path) => path.endsWith('.sql'))
  return Object.fromEntries(paths.map((path) => [`./${tool}/${path}`, readFileSync(join(folders, tool, path), 'utf8')]))
}

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

const refused = {
  'a name without a version': [{ 'm/schema.sql': up }],
  'a lonely migration.sql': [{ 'm/migration.sql': up }],
  'two of one version': [{ '0001_a.sql': up, '0001_b.sql': up }],
  'two of one version by its number': [{ '1_a.sql': up, '0001_b.sql': up }],
  'the same version in two formats': [{ '0001_a.sql': up, 'V1__a.sql': up }],
  'a way back without one forth': [{ '0001_a.sql': up, '0002_a.down.sql': down }],
  'two ways back': [{ '0001_a.sql': `-- migrate:up\n${up}-- migrate:down\n${down}`, '0001_a.down.sql': down }],
  'a repeatable of Flyway': [{ 'R__views.sql': up }],
  'markers in the wrong order': [{ '0001_a.sql': `\n-- migrate:down\n${down}-- migrate:up\n${up}` }, 2],
  'markers twice': [{ '0001_a.sql': `-- migrate:up\n${up}-- migrate:up\n${up}` }, 3],
  'markers of node-pg-migrate twice': [
    { '0001_a.sql': `-- Up Migration\n${up}-- Down Migration\n${down}-- Down Migration` },
    5,
  ],
  'SQL before the marker': [{ '0001_a.sql': `${up}-- migrate:up\n${up}` }],
  "goose's markers": [{ '0001_a.sql': `-- of goose\n-- +goose Up\n${up}-- +goose Down\n${down}` }, 2],
  'an empty file': [{ '0001_a.sql': ' \n' }],
  'an open quote': [{ '0001_a.sql': "SELECT 'a';\nSELECT 'b, 1;\n" }, 2],
  'an open name': [{ '0001_a.sql': 'SELECT 1;\r\n\r\nSELECT "a' }, 3],
  'an open comment': [{ '0001_a.sql': 'SELECT 1;\n/* the rest\nSELECT 2' }, 2],
  'a NUL': [{ '0001_a.sql': 'SELECT 1;\n\0' }, 2],
}

for (const [what, [files, line = 1]] of Object.entries(refused)) {
  test(`refused: ${what}`, () => {
    assert.throws(
      () => migrationsFrom(files),
      (error) =>
        error.code === 'migration_invalid' &&
        error.details.file in files &&
        error.details.line === line &&
        error.message.includes(error.details.file),
    )
  })
}

test('a file whose text is not there yet is told how to get it', () => {
  assert.throws(() => migrationsFrom({ '0001_a.sql': () => Promise.resolve(up) }), {
    code: 'invalid_argument',
    hint: /eager/,
  })
  assert.throws(() => migrationsFrom(undefined), { code: 'invalid_argument' })
})
