// Encryption at rest: secrets and keys, what is readable without them, and changing them.
import assert from 'node:assert/strict'
import { change, everything, result } from './run/indexeddb.mjs'

const inIndexedDb = {
  only: ['page', 'worker'],
  not: ['opfs'],
  because: 'it looks into IndexedDB; tests/node looks into folders, which OPFS has, too',
}
const generated = (name, usages) => crypto.subtle.generateKey({ name, length: 256 }, false, usages)

export default {
  'a wrong, missing or superfluous secret is refused, changes nothing, and releases the lock': async (t) => {
    const name = t.freshName()
    const encryption = { passphrase: 'right' }
    const db = await t.open({ name, encryption })
    await db.exec('CREATE TABLE t (n); INSERT INTO t VALUES (1)')
    await db.close()
    const key = await generated('AES-GCM', ['encrypt', 'decrypt'])
    for (const wrong of [undefined, { passphrase: 'Right' }, { key }])
      assert.equal((await t.failure(t.open({ name, encryption: wrong }))).code, 'decryption_failed')
    const again = await t.open({ name, encryption })
    assert.deepEqual(await again.query('SELECT n FROM t'), [{ n: 1 }])
    assert.equal((await again.health()).lock.epoch, 2, 'nobody had it in between')
    const plain = await t.open()
    await plain.close()
    const superfluous = await t.failure(t.open({ name: plain.name, encryption }))
    assert.equal(superfluous.code, 'invalid_argument')
    assert.match(superfluous.hint, /rekey/)
  },

  'keys: non-extractable AES-GCM and AES-KW ones, also cloned; others are refused': async (t) => {
    const { open, failure, freshName } = t
    for (const [algorithm, usages] of [
      ['AES-GCM', ['encrypt', 'decrypt']],
      ['AES-GCM', ['wrapKey', 'unwrapKey']],
      ['AES-KW', ['wrapKey', 'unwrapKey']],
    ]) {
      const name = freshName()
      const key = await generated(algorithm, usages)
      const db = await open({ name, encryption: { key } })
      await db.exec('CREATE TABLE t (n); INSERT INTO t VALUES (7)')
      await db.close()
      const other = await generated(algorithm, usages)
      assert.equal((await failure(open({ name, encryption: { key: other } }))).code, 'decryption_failed')
      // A clone, such as one from IndexedDB.
      const again = await open({ name, encryption: { key: structuredClone(key) } })
      assert.deepEqual(await again.get('SELECT n FROM t'), { n: 7 })
    }
    for (const [algorithm, usages] of [
      ['AES-CBC', ['encrypt', 'decrypt']],
      ['AES-GCM', ['encrypt']],
    ]) {
      const key = await generated(algorithm, usages)
      assert.equal((await failure(open({ encryption: { key } }))).code, 'invalid_argument')
    }
  },

  'rekey: from plain to encrypted, to another passphrase, and back; rows and snapshots stay': async (t) => {
    const name = t.freshName()
    let encryption
    let db = await t.open({ name })
    await db.exec("CREATE TABLE t (s); INSERT INTO t VALUES ('first')")
    const { id } = await db.snapshots.create({ label: 'kept' })
    let rows = 1
    for (const [next, refused] of [
      [{ passphrase: 'one' }, 'decryption_failed'],
      [{ passphrase: 'two' }, 'decryption_failed'],
      [null, 'invalid_argument'],
    ]) {
      await db.rekey(next)
      await db.run("INSERT INTO t VALUES ('more')")
      await db.close()
      assert.equal((await t.failure(t.open({ name, encryption }))).code, refused)
      encryption = next ?? undefined
      db = await t.open({ name, encryption })
      assert.deepEqual(await db.get('SELECT count(*) AS n FROM t'), { n: ++rows })
      assert.deepEqual(
        (await db.snapshots.list()).map((one) => [one.id, one.label]),
        [[id, 'kept']],
      )
      assert.deepEqual(await db.snapshots.verify(id), { ok: true, errors: [] })
    }
    await db.snapshots.restore(id)
    assert.deepEqual(await db.query('SELECT s FROM t'), [{ s: 'first' }])
  },

  'rekey: one that is aborted or takes too long has changed nothing, and one that has changed the secret succeeds':
    async (t) => {
      const name = t.freshName()
      const secrets = [undefined, { passphrase: 'one' }, { passphrase: 'two' }]
      let now = 0
      let db = await t.open({ name })
      await db.exec('CREATE TABLE t (b); INSERT INTO t VALUES (randomblob(100000))')
      for (const ms of [0, 1, 2, 4, 8, 16, 32, 64, 128]) {
        const next = (now + 1) % secrets.length
        const options = ms % 3 === 1 ? { timeoutMs: ms } : { signal: AbortSignal.timeout(ms) }
        const rejected = await db.rekey(secrets[next] ?? null, options).then(
          () => undefined,
          (error) => error,
        )
        if (rejected === undefined) now = next
        else assert.match(`${rejected.code} ${rejected.name}`, /^timeout|TimeoutError$/)
        await db.close()
        db = await t.open({ name, encryption: secrets[now] })
        assert.deepEqual(await db.get('SELECT length(b) AS n FROM t'), { n: 100000 })
      }
      // While another call has the connection, it can be stopped.
      const tx = await db.begin()
      assert.equal((await t.failure(db.rekey(secrets[1] ?? null, { timeoutMs: 20 }))).code, 'timeout')
      await tx.rollback()
      await db.close()
      await t.open({ name, encryption: secrets[now] })
    },

  'rotateKey: writes go on meanwhile, the secret stays, and what was before can be restored': async (t) => {
    const name = t.freshName()
    const encryption = { passphrase: 'words' }
    let db = await t.open({ name, encryption })
    const sums = (of) => of.get('SELECT count(*) AS rows, total(n) AS n, total(length(b)) AS bytes FROM t')
    // More than one slice of chunks.
    await db.exec(`CREATE TABLE t (n INTEGER, b BLOB);
      WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 6000)
      INSERT INTO t SELECT i, randomblob(1000) FROM n`)
    const { id } = await db.snapshots.create({ label: 'before' })
    const inSnapshot = await sums(db)
    await db.run('INSERT INTO t (n) VALUES (-1)')
    const [before, at] = [await sums(db), new Date()]
    await t.until(() => new Date() > at)
    let writes = 0
    let ended = false
    const rotation = db.rotateKey().finally(() => {
      ended = true
    })
    while (!ended) {
      await db.run('INSERT INTO t (n) VALUES (-2)')
      writes++
      // Writes to files resolve without the event loop.
      await new Promise((resolve) => setTimeout(resolve))
    }
    await rotation
    assert.ok(writes > 1, `${writes} writes`)
    const after = await sums(db)
    assert.equal(after.rows, before.rows + writes)
    await db.close()
    assert.equal((await t.failure(t.open({ name, encryption: { passphrase: 'other' } }))).code, 'decryption_failed')
    db = await t.open({ name, encryption })
    assert.deepEqual(await sums(db), after)
    for (const snapshot of await db.snapshots.list())
      assert.deepEqual(await db.snapshots.verify(snapshot.id), { ok: true, errors: [] })
    await db.snapshots.restore({ at })
    assert.deepEqual(await sums(db), before)
    await db.snapshots.restore(id)
    assert.deepEqual(await sums(db), inSnapshot)
  },

  'rotateKey: refused for a plain database; an aborted call stops, and the next one continues': async (t) => {
    const plain = await t.open()
    const refused = await t.failure(plain.rotateKey())
    assert.equal(refused.code, 'invalid_argument')
    assert.match(refused.hint, /rekey/)
    const memory = await t.memory()
    assert.equal((await t.failure(memory.rotateKey())).message, refused.message)
    await memory.rekey({ passphrase: 'x' })
    await memory.rotateKey()
    await plain.rekey({ passphrase: 'x' })
    const reason = new Error('stop')
    assert.equal(await plain.rotateKey({ signal: AbortSignal.abort(reason) }).catch((error) => error), reason)
    const controller = new AbortController()
    const aborted = plain.rotateKey({ signal: controller.signal }).catch((error) => error)
    controller.abort(reason)
    // An abort is a request: a call that was quicker has its result.
    assert.ok([reason, undefined].includes(await aborted))
    await plain.exec('CREATE TABLE t (n); INSERT INTO t VALUES (1)')
    await plain.rotateKey()
    await plain.close()
    const again = await t.open({ name: plain.name, encryption: { passphrase: 'x' } })
    assert.deepEqual(await again.query('SELECT n FROM t'), [{ n: 1 }])
  },

  'schema, rows and labels are not readable in the storage of an encrypted database': {
    ...inIndexedDb,
    run: async ({ open, freshName }) => {
      const name = freshName()
      const marker = 'marker-of-a-secret-4711'
      let encryption
      let db = await open({ name, snapshots: { compress: false } })
      await db.exec(`CREATE TABLE "${marker}" (s TEXT); CREATE INDEX "${marker}-index" ON "${marker}" (s)`)
      for (const next of [undefined, { passphrase: 'one' }, { passphrase: 'two' }, null]) {
        if (next !== undefined) await db.rekey(next)
        encryption = next ?? undefined
        await db.run(`INSERT INTO "${marker}" VALUES ('${marker}-row')`)
        const { sha256 } = await db.snapshots.create({ label: `${marker}-label` })
        await db.run(`INSERT INTO "${marker}" VALUES ('${marker}-later')`)
        await db.close()
        const stored = await everything(name)
        for (const told of [marker, 'CREATE TABLE', 'SQLite format 3', sha256])
          assert.equal(stored.includes(told), encryption === undefined, told)
        db = await open({ name, encryption, snapshots: { compress: false } })
        assert.equal((await db.snapshots.list())[0].label, `${marker}-label`)
        assert.ok(new TextDecoder('latin1').decode(await db.export()).includes(marker), 'what is exported is plain')
      }
    },
  },

  'recover needs the secret, and resets a damaged database to its last good state': {
    ...inIndexedDb,
    run: async ({ tidelock, open, failure, freshName }) => {
      const name = freshName()
      const encryption = { passphrase: 'words' }
      const db = await open({ name, encryption })
      await db.exec('CREATE TABLE t (n); INSERT INTO t VALUES (1)')
      await db.run('INSERT INTO t VALUES (2)')
      await db.close()
      await change(name, async (transaction) => {
        const log = transaction.objectStore('log')
        const [key] = (await result(log.getAllKeys())).slice(-1)
        const record = await result(log.get(key))
        new Uint8Array(record)[100] ^= 1
        log.put(record, key)
      })
      assert.equal((await failure(open({ name, encryption }))).code, 'database_corrupt')
      for (const wrong of [undefined, { passphrase: 'other' }])
        assert.equal((await failure(tidelock.recover(name, { encryption: wrong }))).code, 'decryption_failed')
      const { lostBatches, changed } = await tidelock.recover(name, { encryption })
      assert.deepEqual([lostBatches, changed], [1, true])
      assert.deepEqual(await (await open({ name, encryption })).query('SELECT n FROM t'), [{ n: 1 }])
    },
  },

  'an encrypted database in memory works like any other': async ({ memory, host }) => {
    const db = await memory({ encryption: { passphrase: 'x' } })
    await db.exec('CREATE TABLE t (n); INSERT INTO t VALUES (1)')
    await db.rekey({ passphrase: 'y' })
    assert.deepEqual(await db.get('SELECT n FROM t'), { n: 1 })
    const stored = host === 'page' ? await indexedDB.databases() : []
    assert.ok(!stored.some(({ name }) => name === `tidelock/${db.name}`))
  },
}
