// The contract of the sync, sentence by sentence, as far as no other module covers it.
import assert from 'node:assert/strict'
import { withSchema } from '../run/remote.mjs'

const plain = (table) => `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT)`
const keys = (object) => Object.keys(object).sort()

export default {
  'reports, progress, status and outbox have the fields of the contract, and no others': async ({ memory, remote }) => {
    const table = remote.tableName()
    await remote.table(table, 'id int primary key, a text', "(1, 'a'), (2, 'a'), (3, 'a')")
    const db = await memory({ ...withSchema(plain(table)), remote: remote.options([table]) })
    const [before] = await db.sync.status()
    assert.deepEqual([before.lastPulledAt, before.lastPushedAt], [null, null])

    let steps = []
    const onProgress = (step) => steps.push(step)
    const pull = await db.sync.pull({ onProgress })
    assert.deepEqual(keys(pull), ['mode', 'ms', 'tables'])
    const [{ ms, bytes, ...counted }] = pull.tables
    assert.ok(ms >= 0 && bytes > 0)
    assert.deepEqual(counted, {
      table,
      ...{ inserted: 3, updated: 0, deleted: 0, unchanged: 0, keptLocal: 0, conflicts: 0, rejected: 0 },
      ...{ pages: 1, resumed: false },
    })
    assert.deepEqual(keys(steps.at(-1)), ['bytes', 'rows', 'table', 'total'])
    assert.deepEqual([steps.at(-1).rows, steps.at(-1).total], [3, 3])

    await db.exec(`UPDATE ${table} SET a = 'mine' WHERE id = 1; DELETE FROM ${table} WHERE id = 2;
      INSERT INTO ${table} VALUES (9, 'new')`)
    const pending = await db.sync.pending()
    for (const entry of pending) {
      assert.equal(typeof entry.id, 'string')
      assert.match(entry.time, /^\d{4}-.*Z$/)
    }
    assert.deepEqual(
      pending.map(({ id: _id, time: _time, ...entry }) => entry),
      [
        { table, key: { id: 1 }, op: 'update', columns: ['a'] },
        { table, key: { id: 2 }, op: 'delete', columns: [] },
        { table, key: { id: 9 }, op: 'insert', columns: ['id', 'a'] },
      ],
    )

    steps = []
    const push = await db.sync.push({ onProgress })
    assert.deepEqual(keys(push), ['ms', 'tables'])
    assert.deepEqual(push.tables, [{ table, inserted: 1, updated: 1, deleted: 1, conflicts: 0, rejected: 0 }])
    assert.deepEqual(keys(steps.at(-1)), ['bytes', 'rows', 'table', 'total'])
    assert.deepEqual([steps.at(-1).rows, steps.at(-1).total], [3, 3])

    const [{ lastPulledAt, lastPushedAt, lagMs, ...status }] = await db.sync.status()
    assert.deepEqual(status, { table, phase: 'idle', rows: 3, pending: 0, rejected: 0, lastError: null })
    assert.ok(lastPulledAt.endsWith('Z') && lastPushedAt.endsWith('Z') && lagMs >= 0)
    const { sync } = await db.health()
    assert.ok(sync.lagMs >= 0)
    assert.deepEqual({ ...sync, lagMs: 0 }, { phase: 'idle', pending: 0, rejected: 0, lagMs: 0, lastError: null })
  },

  'a value that does not fit stops the pull before its page; earlier pages stay': async (t) => {
    const { memory, remote, failure } = t
    for (const [declared, type, value] of [
      ['INTEGER', 'numeric', '1.5'],
      ['NUMERIC', 'numeric', '12.50'],
      ['REAL', 'numeric', '0.12345678901234567890'],
      ['BOOLEAN', 'int', '271828'],
      ['UUID', 'text', '0012'],
    ]) {
      const table = remote.tableName()
      await remote.table(table, `id int primary key, v ${type}`, `(1, null), (2, null), (3, '${value}'), (4, null)`)
      const db = await memory({
        ...withSchema(`CREATE TABLE ${table} (id INTEGER PRIMARY KEY, v ${declared})`),
        remote: remote.options([table], { pageSize: 2 }),
      })
      const { code, details, hint, json } = await failure(db.sync.pull())
      assert.deepEqual([code, details.table, details.column], ['sync_schema_mismatch', table, 'v'], declared)
      assert.ok(hint)
      assert.ok(!json.includes(value), 'the value is in no error')
      assert.deepEqual(await db.query(`SELECT id FROM ${table} ORDER BY id`), [{ id: 1 }, { id: 2 }], declared)
    }
  },

  'a replace is refused while its tables have pending or rejected changes, and touches nothing that is not its':
    async ({ open, remote, failure }) => {
      const [both, pushed, outside] = [remote.tableName(), remote.tableName(), remote.tableName()]
      await remote.table(both, 'id int primary key, a text check (a <> $$bad$$)', "(1, 'a'), (2, 'a')")
      await remote.table(pushed, 'id int primary key, a text', "(1, 'there only')")
      const db = await open({
        ...withSchema(`${plain(both)}; ${plain(pushed)};
          CREATE TABLE ${outside} (id INTEGER PRIMARY KEY, owner INTEGER REFERENCES ${both} ON DELETE CASCADE)`),
        remote: remote.options([both, { table: pushed, direction: 'push' }]),
      })
      const replace = async (more) => {
        const { code = 'done', details } = await failure(db.sync.pull({ mode: 'replace', ...more }))
        return [code, details?.pending, details?.rejected]
      }
      await db.sync.pull()
      await db.exec(`INSERT INTO ${pushed} VALUES (7, 'here only'); INSERT INTO ${outside} VALUES (1, 1), (2, NULL)`)
      assert.deepEqual(await replace(), ['done', undefined, undefined])
      await db.run(`UPDATE ${both} SET a = 'bad' WHERE id = 1`)
      assert.deepEqual(await replace(), ['unpushed_changes', 1, 0])
      await db.sync.push()
      assert.deepEqual(await replace(), ['unpushed_changes', 0, 1])
      await db.sync.pull()
      assert.deepEqual(await replace({ discardUnpushed: true }), ['done', undefined, undefined])
      assert.deepEqual([await db.sync.pending(), await db.sync.rejected()], [[], []])
      const rows = (table) => db.query(`SELECT * FROM ${table} ORDER BY id`)
      assert.deepEqual(await rows(both), [
        { id: 1, a: 'a' },
        { id: 2, a: 'a' },
      ])
      assert.deepEqual(await rows(pushed), [{ id: 7, a: 'here only' }])
      assert.deepEqual(await rows(outside), [
        { id: 1, owner: 1 },
        { id: 2, owner: null },
      ])
    },

  'direction: pull-only tables are never pushed, push-only ones never read': async ({ memory, remote, failure }) => {
    const [pulled, pushed] = [remote.tableName(), remote.tableName()]
    for (const table of [pulled, pushed]) await remote.table(table, 'id int primary key, a text', "(1, 'theirs')")
    const db = await memory({
      ...withSchema(`${plain(pulled)}; ${plain(pushed)}`),
      remote: remote.options([
        { table: pulled, direction: 'pull' },
        { table: pushed, direction: 'push' },
      ]),
    })
    await db.exec(`INSERT INTO ${pulled} VALUES (1, 'mine'), (50, 'mine'); INSERT INTO ${pushed} VALUES (60, 'sent')`)
    const { push, pull } = await db.sync.run()
    assert.deepEqual(
      [push, pull].map(({ tables }) => tables.map(({ table }) => table)),
      [[pushed], [pulled]],
    )
    await db.run(`UPDATE ${pushed} SET a = 'again'`)
    await db.sync.run()
    assert.deepEqual(await db.query(`SELECT * FROM ${pulled} ORDER BY id`), [
      { id: 1, a: 'theirs' },
      { id: 50, a: 'mine' },
    ])
    assert.deepEqual(await db.query(`SELECT * FROM ${pushed}`), [{ id: 60, a: 'again' }])
    assert.deepEqual(await remote.sql(`select * from ${pulled}`), [{ id: '1', a: 'theirs' }])
    assert.deepEqual(await remote.sql(`select * from ${pushed} order by id`), [
      { id: '1', a: 'theirs' },
      { id: '60', a: 'again' },
    ])
    assert.deepEqual(await remote.requests({ table: pushed, method: 'GET' }), [])
    assert.equal((await failure(db.sync.enqueue(pulled))).code, 'invalid_argument')
  },

  'a seed or an imported file loses its outbox and its user, and follows the remote at the next pull': async (t) => {
    const { open, remote } = t
    const table = remote.tableName()
    await remote.table(
      table,
      'id int primary key, a text, updated_at timestamptz',
      "(1, 'one', '2026-01-01'), (2, 'two', '2026-01-02')",
    )
    const as = (userId) => ({
      ...withSchema(`CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT, updated_at TEXT)`),
      remote: remote.options([{ table, cursor: 'updated_at', overlapMs: 0 }], { userId }),
    })
    const db = await open(as('alice'))
    await db.sync.pull()
    await db.run(`UPDATE ${table} SET a = 'mine' WHERE id = 1`)
    const file = await db.export()
    for (const way of ['seed', 'import']) {
      const other = await open({ ...as('bob'), ...(way === 'seed' && { seed: file }) })
      if (way === 'import') await other.import(file)
      const rows = async () => (await other.query(`SELECT a FROM ${table} ORDER BY id`)).map(({ a }) => a)
      assert.deepEqual(await rows(), ['mine', 'two'], way)
      assert.deepEqual([await other.sync.pending(), await other.sync.rejected()], [[], []], way)
      await other.sync.run()
      assert.deepEqual(await rows(), ['one', 'two'], way)
    }
  },
}
