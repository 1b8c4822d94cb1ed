// Deletions, the guard against an empty remote, and failures of network and server.
import assert from 'node:assert/strict'
import { alice, total, withSchema } from '../run/remote.mjs'

const plain = (table) => `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT)`

/** Opens a database with this schema, which syncs these tables. */
const synced = ({ open, remote }, schema, tables, more) =>
  open({ ...withSchema(schema), remote: remote.options(tables, more) })

/** Makes a remote table with the rows 1 to `rows` → its name. */
async function numbered({ remote }, rows, a = "'a'") {
  const table = remote.tableName()
  await remote.table(table, 'id int primary key, a text, updated_at timestamptz default now()')
  await remote.sql(`insert into ${table} select i, ${a} from generate_series(1, ${rows}) i`)
  return table
}

const count = async (db, table) => (await db.get(`SELECT count(*) AS n FROM ${table}`)).n

export default {
  'deleted: compare finds hard deletions, and spares rows with unpushed changes': async (t) => {
    const table = await numbered(t, 40)
    const db = await synced(
      t,
      `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT, updated_at TEXT)`,
      [{ table, cursor: 'updated_at', deleted: 'compare' }],
      { pageSize: 7 },
    )
    await db.sync.pull()
    await db.exec(`UPDATE ${table} SET a = 'mine' WHERE id = 2; INSERT INTO ${table} (id, a) VALUES (100, 'only here')`)
    await t.remote.sql(`delete from ${table} where id in (1, 2, 3, 40)`)
    assert.equal(total(await db.sync.pull(), 'deleted'), 3)
    const ids = await db.query(`SELECT id FROM ${table} WHERE id < 5 OR id > 38 ORDER BY id`, [], { rowMode: 'array' })
    assert.deepEqual(ids.flat(), [2, 4, 39, 100])
  },

  'the guard against an empty remote: all rows of any table, more than maxDeleteRatio of one over 20, in both modes':
    async (t) => {
      for (const mode of ['merge', 'replace'])
        for (const [rows, left, maxDeleteRatio, refused] of [
          [3, 0, undefined, true],
          [20, 1, undefined, false],
          [22, 11, undefined, false],
          [22, 10, undefined, true],
          [22, 10, 0.6, false],
        ]) {
          const what = `${rows} to ${left} at ${maxDeleteRatio}, ${mode}`
          const table = await numbered(t, rows)
          const db = await synced(t, plain(table), [{ table, deleted: 'compare' }], { maxDeleteRatio })
          await db.sync.pull()
          await t.remote.sql(`delete from ${table} where id > ${left}`)
          if (refused) {
            const { code, details } = await t.failure(db.sync.pull({ mode }))
            assert.deepEqual([code, details?.table, details?.rows], ['remote_empty', table, rows], what)
            assert.equal(await count(db, table), rows, what)
          }
          const report = await db.sync.pull({ mode, allowEmpty: refused })
          assert.deepEqual([report.tables[0].deleted, await count(db, table)], [rows - left, left], what)
        }
    },

  'row security that hides everything empties nothing': async (t) => {
    let token = await t.remote.jwt(alice)
    const db = await synced(
      t,
      'CREATE TABLE visits (id TEXT PRIMARY KEY, owner TEXT, report TEXT, updated_at TEXT)',
      [{ table: 'visits', cursor: 'updated_at', deleted: 'compare' }],
      { userId: alice, accessToken: async () => token },
    )
    await db.sync.pull()
    assert.equal(await count(db, 'visits'), 20)
    token = null
    for (const mode of ['merge', 'replace']) {
      assert.equal((await t.failure(db.sync.pull({ mode }))).code, 'remote_empty')
      assert.equal(await count(db, 'visits'), 20)
    }
  },

  'temporary errors are retried, and no row is lost': async (t) => {
    const troubles = {
      '429 with Retry-After': {
        status: 429,
        headers: { 'retry-after': '1', 'access-control-expose-headers': 'Retry-After' },
      },
      503: { status: 503, times: 2 },
      500: { status: 500 },
      '504 with HTML': { status: 504, body: '<html>Bad gateway</html>', headers: { 'content-type': 'text/html' } },
      'a dropped connection': { drop: true, times: 2 },
      'a broken body': { cut: 0.5, times: 2 },
      'a body that ends early': { truncate: 0.6, times: 2 },
      'a late answer': { delayMs: 300 },
    }
    const meet = async ([label, fault]) => {
      const table = await numbered(t, 25, "repeat('x', 300)")
      const trouble = await t.remote.fault({ table, skip: 1, method: 'GET', ...fault })
      const db = await synced(t, plain(table), [table], { pageSize: 10 })
      await db.sync.pull()
      assert.deepEqual(
        await db.get(`SELECT count(*) AS rows, sum(length(a)) AS length FROM ${table}`),
        { rows: 25, length: 7500 },
        label,
      )
      assert.equal(await trouble.met(), fault.times ?? 1, label)
    }
    // All at once, because most of the time is waiting between retries.
    await Promise.all(Object.entries(troubles).map(meet))
  },

  'permanent errors become typed errors after the retries, and the local data stays': async (t) => {
    const html = { body: '<html>Sign in to the Wi-Fi</html>', headers: { 'content-type': 'text/html' } }
    const twice = { retryable: true, requests: 2 }
    const troubles = {
      500: [{ status: 500 }, { code: 'sync_server', ...twice }],
      503: [{ status: 503 }, { code: 'sync_server', ...twice }],
      429: [{ status: 429 }, { code: 'sync_server', ...twice }],
      'no connection': [{ drop: true }, { code: 'sync_network', ...twice }],
      'too late': [{ delayMs: 5000 }, { code: 'sync_network', ...twice }],
      'no JSON': [
        { status: 200, ...html },
        { code: 'sync_protocol', retryable: false, requests: 1 },
      ],
      401: [
        { status: 401, body: { message: 'JWT expired', code: 'PGRST301' } },
        { code: 'sync_unauthorized', retryable: false, requests: 1 },
      ],
      403: [
        { status: 403, body: { message: 'permission denied', code: '42501' } },
        { code: 'sync_rejected', retryable: false, requests: 1 },
      ],
    }
    const meet = async ([label, [fault, expected]]) => {
      const table = await numbered(t, 1)
      await t.remote.fault({ table, times: 1000, ...fault })
      const db = await synced(t, plain(table), [table], { retries: 1, timeoutMs: fault.delayMs ? 1000 : 30_000 })
      await db.run(`INSERT INTO ${table} VALUES (5, 'here')`)
      const { code, retryable } = await t.failure(db.sync.pull())
      const sent = (await t.remote.requests({ table })).length
      // Browsers themselves repeat a request whose connection was dropped.
      const requests = fault.drop ? Math.min(sent, 2) : sent
      assert.deepEqual({ code, retryable, requests }, expected, label)
      assert.deepEqual(await db.query(`SELECT * FROM ${table}`), [{ id: 5, a: 'here' }])
      const [{ lastError }] = await db.sync.status()
      const health = await db.health()
      assert.equal(lastError.code, expected.code, label)
      assert.deepEqual(lastError, health.sync.lastError, label)
      assert.notEqual(health.status, 'failed', label)
    }
    await Promise.all(Object.entries(troubles).map(meet))
  },

  'a redirect is not followed: nothing is stored, and redirected changes stay pending': async (t) => {
    const [table, elsewhere] = [await numbered(t, 1), await numbered(t, 1)]
    const db = await synced(t, plain(table), [table])
    await db.run(`INSERT INTO ${table} VALUES (5, 'here')`)
    const location = `${t.remote.url}/rest/v1/${elsewhere}`
    for (const status of [301, 308]) {
      await t.remote.fault({ table, status, headers: { location }, times: 1000 })
      for (const call of ['push', 'pull']) {
        const { code, message, hint } = await t.failure(db.sync[call]())
        assert.equal(code, 'sync_protocol')
        // A page can't see the target of a redirect.
        assert.match(
          message,
          t.host === 'node' ? new RegExp(`redirects to ${location}$`) : /redirects to another address/,
        )
        assert.match(hint, /remote\.url/)
      }
      await t.remote.clearFaults()
    }
    assert.deepEqual(await t.remote.requests({ table: elsewhere }), [])
    assert.deepEqual(await db.query(`SELECT * FROM ${table}`), [{ id: 5, a: 'here' }])
    assert.equal((await db.sync.pending()).length, 1)
    await db.sync.run()
    assert.equal(await count(db, table), 2)
  },

  'pages over maxResponseBytes are requested with fewer rows; a row over it is an error with the limit': async (t) => {
    for (const more of [{}, { fetch: (url, init) => fetch(url, init) }]) {
      const table = await numbered(t, 25, "repeat('x', 300)")
      const db = await synced(t, plain(table), [table], { maxResponseBytes: 2000, ...more })
      await db.sync.pull()
      assert.equal(await count(db, table), 25)
      await t.remote.sql(`insert into ${table} values (26, repeat('x', 3000))`)
      const { code, details } = await t.failure(db.sync.pull())
      assert.deepEqual([code, details.limit, details.table], ['sync_protocol', 2000, table])
      assert.equal(await count(db, table), 25)
      await t.remote.sql(`delete from ${table} where id = 26`)
      await db.sync.pull()
    }
  },

  'a wrong key, an unknown table and an unknown column are named': async (t) => {
    const table = await numbered(t, 1)
    for (const [tables, more, code, named] of [
      [[table], { key: 'sb_publishable_wrong' }, 'sync_unauthorized', table],
      [['not_there'], {}, 'sync_schema_mismatch', 'not_there'],
      [[{ table, columns: ['id', 'a', 'missing'] }], {}, 'sync_schema_mismatch', 'missing'],
      [[{ table, cursor: 'nope' }], {}, 'sync_schema_mismatch', 'nope'],
      [['customers'], {}, 'sync_schema_mismatch', 'customers'],
    ]) {
      const db = await synced(t, `${plain(table)}; ${plain('not_there')}`, tables, more)
      const failed = await t.failure(db.sync.pull())
      assert.equal(failed.code, code, failed.message)
      assert.ok(`${failed.message} ${JSON.stringify(failed.details)}`.includes(named), failed.message)
      assert.ok(failed.hint, failed.message)
    }
  },

  'the key is sent in the right headers': async (t) => {
    const table = await numbered(t, 1)
    const { anonKey, publishableKey } = t.remote
    const token = await t.remote.jwt(alice)
    for (const [key, given, authorization] of [
      [anonKey, null, `Bearer ${anonKey}`],
      [publishableKey, null, undefined],
      [publishableKey, token, `Bearer ${token}`],
      [anonKey, token, `Bearer ${token}`],
    ]) {
      await t.remote.resetRequests()
      const db = await synced(t, plain(table), [table], { key, accessToken: async () => given })
      await db.sync.pull()
      const requests = await t.remote.requests({ table })
      assert.ok(requests.length > 0)
      for (const { headers } of requests)
        assert.deepEqual([headers.apikey, headers.authorization], [key, authorization])
    }
  },
}
