// Files that can't be migrations are refused with name, line and a fitting hint. Files that only look unusual are accepted.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { migrationsFrom } from '../src/api/migrations-from.ts'

const up = 'CREATE TABLE t(a);\n'
const down = 'DROP TABLE t;\n'
const trigger = 'CREATE TRIGGER r AFTER INSERT ON t BEGIN\n  DELETE FROM t;\n'

const names = /'0001_name\.sql'/
const number = /number/
const markers = /migrate:up/
const flyway = /V1__name\.sql/
const folder = /migration\.sql/
const utf8 = /UTF-8/
const glob = /\?raw/

/** Each case: the files, the wrong one, its line (where there is one), and the subject of the hint. */
const refused = {
  'a name without a version': [{ 'm/schema.sql': up }, 'm/schema.sql', 1, names],
  'a version that runs into the name': [{ '0001a.sql': up }, '0001a.sql', 1, names],
  'a version with nothing after it': [{ '0001_.sql': up }, '0001_.sql', 1, names],
  'a version with only a space after it': [{ '0001_ .sql': up }, '0001_ .sql', 1, names],
  'a direction without a version': [{ 'm/up.sql': up }, 'm/up.sql', 1, folder],
  'equal versions': [{ '1_a.sql': up, '1_b.sql': up }, '1_b.sql', 1, number],
  'versions that are equal as numbers': [{ '1_a.sql': up, '0001_b.sql': up }, '0001_b.sql', 1, number],
  'equal versions in two formats': [{ '0001_a.sql': up, 'V1__a.sql': up }, 'V1__a.sql', 1, number],
  'a file and a folder of the same version': [
    { '0001_a.sql': up, '0001_b/migration.sql': up },
    '0001_b/migration.sql',
    1,
    number,
  ],
  'two down scripts': [
    { '0001_a.sql': `-- migrate:up\n${up}-- migrate:down\n${down}`, '0001_a.down.sql': down },
    '0001_a.down.sql',
    1,
    number,
  ],
  'down.sql without up': [{ '0001_a.sql': up, '0002_b.down.sql': down }, '0002_b.down.sql', 1, /0002_b\.up\.sql/],
  'a folder with only a down script': [{ '0001_a/down.sql': down }, '0001_a/down.sql', 1, /0001_a\/migration\.sql/],
  'an undo of Flyway by itself': [{ 'm/U1__a.sql': down }, 'm/U1__a.sql', 1, /m\/V1__a\.sql/],

  'a folder of Prisma with another file': [
    { 'm/20250101000000_init/schema.sql': up, 'm/migration_lock.toml': '' },
    'm/20250101000000_init/schema.sql',
    1,
    folder,
  ],
  'a folder of Prisma without a version': [{ 'm/init/migration.sql': up }, 'm/init/migration.sql', 1, folder],

  'a repeatable of Flyway': [{ 'R__views.sql': up }, 'R__views.sql', 1, flyway],
  'a baseline of Flyway': [{ 'B1__base.sql': up }, 'B1__base.sql', 1, flyway],
  'a single underscore, as Flyway refuses it': [{ 'V1_a.sql': up }, 'V1_a.sql', 1, flyway],
  'no version for Flyway': [{ 'V__a.sql': up }, 'V__a.sql', 1, flyway],
  'no name for Flyway': [{ 'V1__.sql': up }, 'V1__.sql', 1, flyway],
  'a callback of Flyway': [{ 'afterMigrate.sql': up }, 'afterMigrate.sql', 1, names],

  'down before up': [{ '1_a.sql': `\n-- migrate:down\n${down}-- migrate:up\n${up}` }, '1_a.sql', 2, markers],
  'down alone': [{ '1_a.sql': `-- migrate:down\n${down}` }, '1_a.sql', 1, markers],
  'up twice': [{ '1_a.sql': `-- migrate:up\n${up}-- migrate:up\n${up}` }, '1_a.sql', 3, markers],
  'down twice': [{ '1_a.sql': `-- migrate:up\n${up}-- migrate:down\n${down}-- migrate:down\n` }, '1_a.sql', 5, markers],
  'markers of node-pg-migrate twice': [
    { '1_a.sql': `-- Up Migration\r\n${up}-- Down Migration\r\n-- Down Migration` },
    '1_a.sql',
    4,
    /-- Up Migration/,
  ],
  'SQL before the first marker': [{ '1_a.sql': `-- of us\n\n${up}-- migrate:up\n${up}` }, '1_a.sql', 3, markers],
  'an unknown marker': [{ '1_a.sql': `-- migrate:up\n${up}-- migrate:undo\n${down}` }, '1_a.sql', 3, markers],
  'a marker with a typo': [{ '1_a.sql': `-- migrate:upp\n${up}` }, '1_a.sql', 1, markers],
  'a marker in capitals': [{ '1_a.sql': `-- migrate:up\n${up}-- MIGRATE:DOWN\n${down}` }, '1_a.sql', 3, markers],
  'an indented marker': [{ '1_a.sql': `-- migrate:up\n${up}  -- migrate:down\n${down}` }, '1_a.sql', 3, markers],
  "goose's markers": [{ '1_a.sql': `-- of goose\n-- +goose Up\n${up}-- +goose Down\n${down}` }, '1_a.sql', 2, markers],
  "goose's markers under a name of Flyway": [{ 'V1__a.sql': `${up}-- +goose Down\n${down}` }, 'V1__a.sql', 2, markers],
  'a marker for down in up.sql': [
    { '1_a.up.sql': `-- migrate:up\n${up}-- migrate:down\n${down}` },
    '1_a.up.sql',
    3,
    /1_a\.sql/,
  ],
  'a marker for up in down.sql': [
    { '1_a.up.sql': up, '1_a.down.sql': `-- Up Migration\n${up}` },
    '1_a.down.sql',
    1,
    /1_a\.sql/,
  ],
  'a marker for down in a file of Flyway': [
    { 'V1__a.sql': `${up}-- Down Migration\n${down}` },
    'V1__a.sql',
    2,
    /1_a\.sql/,
  ],

  'nothing at all': [{ '1_a.sql': '' }, '1_a.sql', 1, /leave the file out/],
  'only space': [{ '1_a.sql': ' \r\n\t' }, '1_a.sql', 1, /leave the file out/],
  'only a byte order mark': [{ '1_a.sql': '\ufeff' }, '1_a.sql', 1, /leave the file out/],

  'an open string': [{ '1_a.sql': "SELECT 'a';\nSELECT 'b, 1;\n" }, '1_a.sql', 2, /'/],
  'an open name': [{ '1_a.sql': 'SELECT 1;\r\n\r\nSELECT "a' }, '1_a.sql', 3, /"/],
  'an open name in backticks': [{ '1_a.sql': 'SELECT 1;\nSELECT `a' }, '1_a.sql', 2, /`/],
  'an open name in brackets': [{ '1_a.sql': 'SELECT 1;\nSELECT [a' }, '1_a.sql', 2, /\]/],
  'an open comment': [{ '1_a.sql': 'SELECT 1;\n/* the rest\nSELECT 2' }, '1_a.sql', 2, /\*\//],
  'an open comment of three characters': [{ '1_a.sql': 'SELECT 1;\n\n/*/' }, '1_a.sql', 3, /\*\//],
  'a quote that a comment seems to close': [{ '1_a.sql': "SELECT 'a\n-- it'" + "s ' over\n" }, '1_a.sql', 2, /'/],
  'a trigger without END': [{ '1_a.sql': `${up}${trigger}` }, '1_a.sql', 2, /END;/],
  'a trigger without END before another statement': [
    { '1_a.sql': `${up}${trigger}CREATE TABLE u(a);\n` },
    '1_a.sql',
    2,
    /END;/,
  ],
  'a temporary trigger whose END lacks the semicolon before it': [
    { '1_a.sql': `${up}create temp trigger r after insert on t begin delete from t end;` },
    '1_a.sql',
    2,
    /END;/,
  ],
  'a trigger whose CASE has the only END': [
    { '1_a.sql': `${up}CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT CASE WHEN 1 THEN 2 END;` },
    '1_a.sql',
    2,
    /END;/,
  ],
  'a marker in a trigger': [{ '1_a.sql': `-- migrate:up\n${trigger}-- migrate:down\nEND;` }, '1_a.sql', 2, /END;/],
  'a marker in a string': [{ '1_a.sql': "-- migrate:up\nSELECT '\n-- migrate:down\n'" }, '1_a.sql', 2, /'/],
  'an open string in the down script': [
    { '1_a.sql': `-- migrate:up\n${up}-- migrate:down\n${down}SELECT 'a` },
    '1_a.sql',
    5,
    /'/,
  ],
  'an open string in down.sql': [{ '1_a.up.sql': up, '1_a.down.sql': "\nSELECT 'a" }, '1_a.down.sql', 2, /'/],

  'a NUL between statements': [{ '1_a.sql': `${up}\0` }, '1_a.sql', 2, utf8],
  'a NUL in a string': [{ '1_a.sql': `${up}SELECT 'a\0b';` }, '1_a.sql', 2, utf8],
  'a NUL in a comment': [{ '1_a.sql': `${up}-- a\0b\n${up}` }, '1_a.sql', 2, utf8],
  'UTF-16 that was read as UTF-8': [{ '1_a.sql': '\ufffd\ufffdS\0E\0L\0' }, '1_a.sql', 1, utf8],
  'Latin-1 that was read as UTF-8': [{ '1_a.sql': `${up}INSERT INTO t VALUES ('caf\ufffd');` }, '1_a.sql', 2, utf8],
  'a lone carriage return, which ends no comment': [
    { '1_a.sql': `${up}-- the rest is lost\rCREATE TABLE u(a);\r` },
    '1_a.sql',
    2,
    /\\n/,
  ],

  'undefined instead of a text': [{ '1_a.sql': undefined }, '1_a.sql', undefined, glob],
  'a function that loads the text': [{ '1_a.sql': () => Promise.resolve(up) }, '1_a.sql', undefined, glob],
  'a promise': [{ '1_a.sql': Promise.resolve(up) }, '1_a.sql', undefined, glob],
  'a module': [{ '1_a.sql': { default: up } }, '1_a.sql', undefined, glob],
  bytes: [{ '1_a.sql': new TextEncoder().encode(up) }, '1_a.sql', undefined, glob],
  'a URL instead of a text': [{ '1_a.sql': '/assets/1_a-B3x.sql?v=2' }, '1_a.sql', undefined, glob],
  'a data URL instead of a text': [
    { '1_a.sql': 'data:application/sql;base64,U0VMRUNUIDE=' },
    '1_a.sql',
    undefined,
    glob,
  ],
}

for (const [what, [files, file, line, hint]] of Object.entries(refused)) {
  test(`refused: ${what}`, () => {
    assert.throws(
      () => migrationsFrom(files),
      (error) => {
        assert.equal(error.code, 'migration_invalid')
        assert.deepEqual(error.details, line === undefined ? { file } : { file, line })
        assert.ok(error.message.includes(file), error.message)
        assert.equal(error.message.includes(`(line ${line})`), line > 1, error.message)
        assert.match(error.hint, hint)
        return true
      },
    )
  })
}

test('an argument that is not an object of texts by path', () => {
  for (const files of [undefined, null, 'a', [up], new Map([['1_a.sql', up]])]) {
    assert.throws(() => migrationsFrom(files), { code: 'invalid_argument', hint: /import\.meta\.glob/ })
  }
})

/** Unusual but valid files: the text, and the resulting scripts. */
const understood = {
  'line ends of Windows': [`CREATE TABLE t(a);\r\n-- it's\r\nSELECT 1;\r\n`],
  'a byte order mark': [`\ufeff${up}`, up],
  'a byte order mark before a marker': [`\ufeff-- migrate:up\n${up}`, `-- migrate:up\n${up}`],
  'only comments': ['-- This is an empty migration.\n'],
  'an empty up script': [`-- migrate:up\n\n-- migrate:down\n${down}`, '-- migrate:up\n\n', `-- migrate:down\n${down}`],
  'a trigger with all its clauses': [
    `CREATE TRIGGER r AFTER INSERT ON t BEGIN\n  SELECT CASE WHEN 1 THEN ';END;' END; -- END;\n  DELETE FROM t; /* ; */ END`,
  ],
  'a breakpoint in a trigger': [`/* trigger\n begin */ ${up}${trigger}--> statement-breakpoint\nEND;\n`],
  'damaged characters in a comment': [`-- Jos\ufffd\n${up}`],
  'a comment about migrations': [`-- migrate: all of it, up and down\n${up}`],
  'breakpoints after semicolons and at both ends': [
    `--> statement-breakpoint\n${up}--> statement-breakpoint\n\n--> statement-breakpoint\n${down}--> statement-breakpoint`,
  ],
  'breakpoints in place of semicolons': [
    `CREATE TABLE t(a)\n--> statement-breakpoint\n${trigger}END\n--> statement-breakpoint\nDROP TABLE t --> statement-breakpoint\n`,
    `CREATE TABLE t(a)\n;--> statement-breakpoint\n${trigger}END\n;--> statement-breakpoint\nDROP TABLE t ;--> statement-breakpoint\n`,
  ],
  'a breakpoint in a string': [`SELECT '\n--> statement-breakpoint\n';`],
}

for (const [what, [text, forth = text, back]] of Object.entries(understood)) {
  test(`understood: ${what}`, () => {
    const expected = { version: '1', name: 'a', up: forth, ...(back === undefined ? {} : { down: back }) }
    assert.deepEqual(migrationsFrom({ '1_a.sql': text }), [expected])
  })
}

test('files of other kinds are ignored', () => {
  const files = {
    'm/migration_lock.toml': 5,
    'm/1_a/README.md': up,
    'm/meta/_journal.json': '{}',
    'm/schema.prisma': '',
  }
  assert.deepEqual(migrationsFrom(files), [])
})
