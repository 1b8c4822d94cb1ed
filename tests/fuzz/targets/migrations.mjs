// Migration files of any name and text: read, run, linted, reverted.
import assert from 'node:assert/strict'
import { cpSync, rmSync } from 'node:fs'
import path from 'node:path'
import { migrationsFrom, open } from '../../../pkg-js/dist/index.js'
import { anyValue, mutatedText } from '../random.mjs'
import { attempt, mine, quiet } from '../rules.mjs'
import { definitions, scripts, words } from '../schemas.mjs'

const options = { name: 'shop', storage: 'file', snapshots: false, maxBytes: 64 * 2 ** 20, ...quiet }
const paths = [
  '0001_a.sql',
  '0001_a.up.sql',
  '0001_a.down.sql',
  '2_b.sql',
  '20250709035454_name/migration.sql',
  '20250709035454_name/down.sql',
  'V3__c.sql',
  'U3__c.sql',
  '0004_d/migration.sql',
  '0005_e.sql',
  'V1.2__f.sql',
]
const bodies = [
  ...scripts,
  ...definitions.filter((sql) => sql !== null),
  '-- migrate:up\nCREATE TABLE u (a);\n-- migrate:down\nDROP TABLE u;\n',
  '-- migrate:up transaction:false\nVACUUM;\n',
  '-- Up Migration\nCREATE TABLE w (a);\n-- Down Migration\nDROP TABLE w;\n',
  'CREATE TABLE d (a);\n--> statement-breakpoint\nCREATE INDEX di ON d (a);\n',
  'PRAGMA foreign_keys=OFF;\nBEGIN;\nALTER TABLE t RENAME TO t2;\nCOMMIT;\n',
  'ALTER TABLE t ADD COLUMN added NOT NULL DEFAULT 1; UPDATE t SET added = 2; ALTER TABLE t DROP COLUMN added;',
]

export async function setUp(base) {
  const [made, where] = [path.join(base, 'made'), path.join(base, 'shop.tidelock')]
  const db = await open({ ...options, path: made })
  await db.exec(mine.sql)
  await db.close()
  return { make, run: (input) => run(input, made, where) }
}

function make(random) {
  const text = () => (random.oneIn(40) ? anyValue(random) : mutatedText(random, random.pick(bodies), words))
  const name = () =>
    random.oneIn(6) ? mutatedText(random, random.pick(paths), ['.sql', '_', '/', '9'.repeat(30)]) : random.pick(paths)
  const plain = () => [random.pick(paths), random.pick(bodies)]
  const files = random.some(5, () =>
    random.oneIn(3) ? plain() : [random.oneIn(8) ? name() : random.pick(paths), text()],
  )
  return { files: Object.fromEntries(files), target: random.pick(scripts), order: random.pick(['error', 'apply']) }
}

async function run({ files, target, order }, made, where) {
  const { value: migrations, error } = await attempt(() => migrationsFrom(files))
  if (error !== undefined) return `read: ${error.code}`
  rmSync(where, { recursive: true, force: true })
  cpSync(made, where, { recursive: true })
  const { value: db, error: refused } = await attempt(() =>
    open({ ...options, path: where, migrations, outOfOrder: order }),
  )
  if (db !== undefined) {
    await attempt(() => db.migrations.lint())
    await attempt(() => db.migrations.drift())
    await attempt(() => db.migrations.generate(target))
    await attempt(() => db.migrations.revert())
    await attempt(() => db.migrations.run())
    await db.migrations.status()
    await mine.mustBeThere(db)
    await db.close()
  }
  const again = await open({ ...options, path: where })
  await mine.mustBeThere(again)
  assert.deepEqual(await again.query('PRAGMA quick_check'), [{ quick_check: 'ok' }])
  await again.close()
  return refused?.code ?? 'opened'
}
