// What `open` gives, held in the state of a framework: Vue wraps plain objects in proxies, through which private fields can't be read, and
// Svelte does so with $state.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { compileModule } from 'svelte/compiler'
import { isReactive, reactive, ref } from 'vue'
import * as tidelock from '../../pkg-js/dist/index.js'

const migrations = [{ version: '1', name: 'notes', up: 'CREATE TABLE notes (id INTEGER PRIMARY KEY, text)' }]

let db
before(async () => {
  db = await tidelock.open({ name: 'held', storage: 'memory', migrations })
})
after(() => db.close())

/** Uses everything that `held` has. */
async function use(held) {
  await held.db.run('INSERT INTO notes (text) VALUES (?)', ['a'])
  assert.equal(held.db.name, 'held')
  assert.equal((await held.migrations.status())[0].state, 'applied')
  assert.ok(Array.isArray(await held.snapshots.list()))
  assert.ok(Array.isArray(await held.sync.status()))
  assert.ok((await held.live.refresh()).length > 0)
  const { n } = await held.db.get(held.fragment)
  assert.ok(n > 0)
  assert.ok((await held.db.sql`SELECT id FROM notes WHERE ${held.nested}`).length > 0)
  held.db.actor = 'somebody'
  assert.equal(db.actor, 'somebody')
  const { id } = await held.snapshots.create()
  assert.equal((await held.snapshots.verify(id)).ok, true)
  const tx = await held.db.begin()
  held.tx = tx
  await held.tx.query('SELECT 1')
  await held.tx.rollback()
  await held.group.health()
  held.live.close()
}

const everything = async () => ({
  db,
  migrations: db.migrations,
  snapshots: db.snapshots,
  sync: db.sync,
  live: db.live('SELECT id FROM notes'),
  fragment: tidelock.sql`SELECT count(*) AS n FROM notes WHERE text = ${'a'}`,
  nested: tidelock.sql`text = ${'a'}`,
  target: tidelock.uploadTarget({ url: () => 'https://bucket.example' }),
  error: new tidelock.TidelockError('timeout', 'Too late'),
  group: await tidelock.openGroup({ one: { name: 'held-in-a-group', storage: 'memory' } }),
  tx: undefined,
})

test('in ref() and reactive() of Vue, each stays what it is', async () => {
  for (const held of [ref(await everything()).value, reactive(await everything())]) {
    assert.ok(isReactive(held))
    for (const [name, one] of Object.entries(held)) assert.ok(!isReactive(one), `${name} is wrapped`)
    await use(held)
    await held.group.close()
  }
  for (const one of Object.values(await everything()))
    if (one !== undefined && one !== null) assert.ok(!isReactive(ref(one).value), String(one))
})

test('in $state of Svelte, too', async () => {
  const source = 'export function hold(given) { let held = $state(given); return held }'
  const { js } = compileModule(source, { filename: 'hold.svelte.js', generate: 'client' })
  const { outputFiles } = await build({
    stdin: { contents: js.code, resolveDir: fileURLToPath(new URL('.', import.meta.url)) },
    bundle: true,
    format: 'esm',
    conditions: ['browser'],
    write: false,
  })
  const { hold } = await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].text).toString('base64')}`)
  const given = await everything()
  const held = hold(given)
  assert.notEqual(held, given)
  await use(held)
  await held.group.close()
})
