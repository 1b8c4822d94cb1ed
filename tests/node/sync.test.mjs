// Sync in Node, where a secret key is allowed: it bypasses row security, and is in the Authorization header only if it is a JWT.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { open } from '../../pkg-js/dist/index.js'
import { startRemote } from '../remote/index.mjs'

let remote
before(async () => {
  remote = await startRemote({
    seed: `create table hidden (id int primary key, a text); insert into hidden values (1, 'a'), (2, 'b');
      alter table hidden enable row level security`,
  })
})
after(() => remote?.stop())

for (const kind of ['serviceKey', 'secretKey']) {
  test(`a program with the ${kind} pulls and pushes rows that row security hides from others`, async () => {
    const key = remote[kind]
    remote.stats.reset()
    const db = await open({
      name: `node-sync-${kind}`,
      storage: 'memory',
      snapshots: false,
      migrations: [{ version: '1', name: 'schema', up: 'CREATE TABLE hidden (id INTEGER PRIMARY KEY, a TEXT)' }],
      remote: { url: remote.url, key, tables: ['hidden'] },
      onWarning: () => {},
    })
    try {
      const pulled = await db.sync.pull()
      assert.equal(pulled.tables[0].inserted, 2)
      await db.run('UPDATE hidden SET a = ? WHERE id = 1', [kind])
      const pushed = await db.sync.push()
      assert.equal(pushed.tables[0].updated, 1)
      assert.equal((await remote.sql('select a from hidden where id = 1'))[0].a, kind)
      const [{ headers }] = remote.stats.requests
      assert.deepEqual(
        [headers.apikey, headers.authorization],
        [key, kind === 'serviceKey' ? `Bearer ${key}` : undefined],
      )
    } finally {
      await db.close()
    }
  })
}
