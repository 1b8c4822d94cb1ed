// Failures that no other scenario covers. The messages are in tests/messages/golden/scenarios/errors.txt.
import assert from 'node:assert/strict'
import { having } from './run/having.mjs'

const refusing = async () => new Response('expired', { status: 403 })

export default {
  'no error shows a bound value, and the database stays usable': async ({ failure, memory }) => {
    const db = await memory({ maxBytes: 65536 })
    await db.exec('CREATE TABLE t(a UNIQUE)')
    const endless = 'WITH n(x) AS (VALUES (?) UNION ALL SELECT x FROM n) SELECT count(*) FROM n'
    const ended = await db.transaction(async (tx) => tx)
    const closed = await memory()
    await closed.close()
    for (const [code, call] of Object.entries({
      invalid_argument: () => db.query('SELECT ?', ['secret', 'secret']),
      sqlite_error: () => db.query('SELECT nothing WHERE ? = 1', ['secret']),
      sqlite_constraint: () => db.runMany('INSERT INTO t VALUES (?)', [['secret'], ['secret']]),
      database_too_large: () => db.run('INSERT INTO t VALUES (zeroblob(200000) || ?)', ['secret']),
      timeout: () => db.query(endless, ['secret'], { timeoutMs: 20 }),
      transaction_closed: () => ended.query('SELECT ?', ['secret']),
      closed: () => closed.query('SELECT ?', ['secret']),
    })) {
      const failed = await failure(call)
      assert.equal(failed.code, code, JSON.stringify(failed))
      assert.ok(!`${failed.json} ${failed.cause}`.includes('secret'), JSON.stringify(failed))
      assert.deepEqual(await db.query('SELECT * FROM t'), [], code)
    }
  },

  'the error of a statement has its text, cut where it is long, and no bound value': async ({ failure, memory }) => {
    const db = await memory()
    await db.exec('CREATE TABLE t (a UNIQUE)')
    const statement = 'INSERT INTO t VALUES (?)'
    await db.run(statement, ['secret'])
    const long = `SELECT nothing, ${'1, '.repeat(1000)} 1`
    for (const [call, sql] of [
      [() => db.run(statement, ['secret']), statement],
      [() => db.runMany(statement, [['other'], ['secret']]), statement],
      [() => db.transaction((tx) => tx.run(statement, ['secret'])), statement],
      [() => db.batch([{ sql: statement, params: ['secret'] }]), statement],
      [() => db.query('SELECT nothing WHERE :a', { a: 'secret' }), 'SELECT nothing WHERE :a'],
      [() => db.explain('SELECT nothing'), 'SELECT nothing'],
      [() => db.query(long), `${long.slice(0, 1000)}…`],
    ]) {
      const { details, json } = await failure(call)
      assert.equal(details.sql, sql)
      assert.ok(!json.includes('secret'), json)
    }
    const live = db.live('SELECT nothing')
    assert.equal((await failure(live.refresh())).details.sql, 'SELECT nothing')
    live.close()
  },

  'the hint of a common mistake names what is to be written instead': async ({ failure, memory }) => {
    const db = await memory()
    await db.exec('CREATE VIRTUAL TABLE texts USING fts5(body)')
    const asArray = /^Pass the parameters as one array/
    const quoted = /^Quote what users type.*replaceAll/
    for (const [call, hint] of [
      [() => db.sql`SELECT * FROM ${'orders'}`, /sql\.identifier\(name\)/],
      [() => db.query('SELECT * FROM texts WHERE texts MATCH ?', ["it's"]), quoted],
      [() => db.query('SELECT * FROM texts WHERE texts MATCH ?', ['what?']), quoted],
      [() => db.query('SELECT * FROM texts WHERE texts MATCH ?', ['new-note']), quoted],
      [() => db.query('SELECT * FROM texts WHERE texts MATCH ?', ['5" nails']), quoted],
      [() => db.query("SELECT json_extract('{}', ?)", ['a']), /^Compare the statement/],
      [() => db.query('SELECT :titel', { title: 1 }), /:titel.*'title': did you mean the same\?/],
      [() => db.query('SELECT :title', { title: 1, titles: 2 }), /^(?!.*did you mean)/],
      [() => db.query("SELECT ':x', :id, :title -- :titel", { id: 1, titel: 1 }), /:title.*'titel'/],
      [() => db.query('SELECT :title', { price: 1 }), /^Use null for SQL NULL$/],
      [() => db.sql`SELECT * FROM texts WHERE body LIKE '%${'tea'}%'`, /^A placeholder in quotes is text/],
      [() => db.query("SELECT '?', ?", [1, 2]), /^A placeholder in quotes is text/],
      [() => db.query("SELECT 'x', ?", [1, 2]), /^Pass one value for each/],
      [() => db.query("SELECT 'a' || ? || 'b'", [1, 2]), /^Pass one value for each/],
      [() => db.query('SELECT ?', 1), asArray],
      [() => db.query('SELECT ?, ?', 1, 2), asArray],
      [() => db.get('SELECT ?, ?', 1, null), asArray],
      [() => db.run('SELECT ?, ?', 'a', 'b'), asArray],
      [async () => db.live('SELECT ?, ?', 1, 2), asArray],
      [async () => db.iterate('SELECT ?, ?', 1, 2), asArray],
      [() => db.transaction((tx) => tx.run('SELECT ?, ?', 1, 2)), asArray],
    ]) {
      const failed = await failure(call)
      assert.match(failed.hint, hint, `${call}: ${JSON.stringify(failed)}`)
      assert.equal(failed.code, /orders|MATCH|json/.test(`${call}`) ? 'sqlite_error' : 'invalid_argument')
    }
  },

  'the error of an unreadable exported file has the reason': async ({ failure, memory }) => {
    const db = await memory()
    const small = await memory({ maxBytes: 65536 })
    const { id } = await db.snapshots.create()
    const encrypt = { passphrase: 'right' }
    const file = new Uint8Array(await (await db.snapshots.export(id, { encrypt })).arrayBuffer())
    const newer = Uint8Array.from(file)
    newer[8] = 99
    const rounds = (count) => {
      const changed = Uint8Array.from(file)
      new DataView(changed.buffer).setUint32(12, count, true)
      return changed
    }
    const large = new Blob([new Uint8Array(5_000_000).fill(32)]).stream().pipeThrough(new CompressionStream('gzip'))
    const key = (name, ...usages) => crypto.subtle.generateKey({ name, length: 256 }, true, usages)
    const damaged = new Uint8Array([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3])
    const gzip = new Uint8Array(await new Response(large).arrayBuffer())
    const wrapping = await key('AES-KW', 'wrapKey', 'unwrapKey')
    const another = await key('AES-GCM', 'encrypt', 'decrypt')
    const codes = []
    for (const call of [
      () => db.snapshots.import(file),
      () => db.snapshots.import(file, { encrypt: { passphrase: 'wrong' } }),
      () => db.snapshots.import(file, { encrypt: { key: another } }),
      () => db.snapshots.import(newer, { encrypt }),
      () => db.snapshots.import(rounds(0), { encrypt }),
      () => db.snapshots.import(rounds(599_999), { encrypt }),
      () => db.snapshots.import(rounds(2 ** 32 - 1), { encrypt }),
      () => db.snapshots.import(damaged),
      () => small.snapshots.import(gzip),
      () => db.snapshots.export(id, { encrypt: {} }),
      () => db.snapshots.export(id, { encrypt: { key: wrapping } }),
    ])
      codes.push((await failure(call)).code)
    assert.deepEqual(codes, [
      'decryption_failed',
      'decryption_failed',
      'decryption_failed',
      'snapshot_incompatible',
      'decryption_failed',
      'decryption_failed',
      'decryption_failed',
      'snapshot_corrupt',
      'database_too_large',
      'invalid_argument',
      'invalid_argument',
    ])
  },

  'the error of a failed copy or upload has the reason': async ({ failure, memory, tidelock, until }) => {
    const { directoryTarget, uploadTarget } = tidelock
    const full = () => Promise.reject(new Error('no room'))
    const folder = {
      kind: 'directory',
      getFileHandle: full,
      getDirectoryHandle: full,
      entries: () => [],
      removeEntry() {},
    }
    const upload = uploadTarget({ url: () => 'https://bucket.example/put', fetch: refusing })
    const copied = async (target) => {
      const db = await memory({ snapshots: { targets: [target], retries: 0 } })
      let error
      db.addEventListener('snapshot', ({ detail }) => {
        error ??= detail.error
      })
      await db.snapshots.create()
      await until(() => error)
      // The detail of an event is plain data, as errors are in JSON.
      throw new tidelock.TidelockError(error.code, error.message, error)
    }
    const written = () => upload.write({ name: 'backup.sqlite' }, new Blob(['x']), new AbortController().signal)
    assert.equal((await failure(() => copied(directoryTarget(folder)))).code, 'storage_unavailable')
    assert.equal((await failure(() => copied(upload))).code, 'sync_rejected')
    assert.equal((await failure(written)).code, 'sync_rejected')
  },

  'the error of a seed that can not be fetched has the reason': {
    only: ['node'],
    because: 'a page fetches its wasm, too',
    run: async ({ failure, memory }) => {
      const seed = 'https://bucket.example/seed.sqlite'
      const unreachable = () => Promise.reject(new TypeError('no network'))
      for (const fetch of [refusing, unreachable])
        assert.equal((await having(globalThis, 'fetch', fetch, () => failure(memory({ seed })))).code, 'sync_network')
    },
  },

  'changes that can not be announced at once are a warning': {
    only: ['node', 'page'],
    because: 'the WebSocket is made where the engine runs',
    run: async ({ memory, until, warnings }) => {
      const fetch = async () => new Response('[]', { headers: { 'content-type': 'application/json' } })
      const remote = { url: 'https://x.supabase.co', key: 'k', tables: ['t'], fetch, realtime: true }
      const migrations = [{ version: '1', name: 't', up: 'CREATE TABLE t(id INTEGER PRIMARY KEY)' }]
      const refused = function refused() {
        throw new Error('Content-Security-Policy')
      }
      for (const [WebSocket, words] of [
        [undefined, ': WebSocket is missing'],
        [refused, ': The WebSocket connection could not be opened'],
      ])
        await having(globalThis, 'WebSocket', WebSocket, async () => {
          const db = await memory({ migrations, remote, mode: 'cloud' })
          await until(() => warnings.some(({ message }) => message.endsWith(words)))
          await db.close()
        })
    },
  },
}
