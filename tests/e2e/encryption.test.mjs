// Encryption at rest: what can be read without the key, who may open, what is noticed, and changing the key.
import assert from 'node:assert/strict'
import { freshName, suite, test } from './harness.mjs'

const context = suite()
const MARKER = 'marker-of-a-secret-4711'

/** Runs `work(argument)` in a fresh tab, where `everything(name)` reads all that is stored as text, and `change` changes it. */
async function inPage(work, argument) {
  const page = await context.page()
  try {
    await page.evaluate(() => {
      const done = (request) =>
        new Promise((resolve, reject) => {
          request.onsuccess = () => resolve(request.result)
          request.onerror = () => reject(request.error)
        })
      const withStores = async (name, mode, use) => {
        const db = await done(indexedDB.open(`tidelock/${name}`))
        const transaction = db.transaction([...db.objectStoreNames], mode)
        const ended = new Promise((resolve) => {
          transaction.oncomplete = resolve
        })
        const result = await use(transaction, done)
        await ended
        db.close()
        return result
      }
      const text = (value) => {
        if (value instanceof ArrayBuffer) return new TextDecoder('latin1').decode(value)
        if (ArrayBuffer.isView(value)) return text(value.buffer)
        if (Array.isArray(value)) return value.map(text).join(' ')
        if (typeof value === 'object' && value !== null) return Object.entries(value).map(text).join(' ')
        return String(value)
      }
      /** All keys and values of all object stores, bytes as latin-1. */
      window.everything = (name) =>
        withStores(name, 'readonly', async (transaction, answer) => {
          const stores = [...transaction.objectStoreNames].map((store) => transaction.objectStore(store))
          const all = await Promise.all(
            stores.map(async (store) => [await answer(store.getAllKeys()), await answer(store.getAll())]),
          )
          return text(all)
        })
      /** Changes what is stored: `use(transaction, answer)`. */
      window.change = (name, use) => withStores(name, 'readwrite', use)
    })
    return await page.evaluate(work, argument)
  } finally {
    await page.close()
  }
}

test('nothing of schema, rows or labels can be read in what is stored, and all of it is there again', async () => {
  const result = await inPage(
    async ({ names, marker }) => {
      const found = {}
      for (const [kind, name] of Object.entries(names)) {
        const encryption = kind === 'plain' ? undefined : { passphrase: 'correct horse' }
        const db = await window.open({ name, encryption, snapshots: { compress: false } })
        await db.exec(`CREATE TABLE "${marker}" (s TEXT); CREATE INDEX "${marker}-index" ON "${marker}" (s)`)
        await db.run(`INSERT INTO "${marker}" VALUES (?)`, [`${marker}-row`])
        await db.snapshots.create({ label: `${marker}-label` })
        await db.run(`INSERT INTO "${marker}" VALUES (?)`, [`${marker}-later`])
        const exported = await db.export()
        await db.close()
        const stored = await window.everything(name)
        const again = await window.open({ name, encryption })
        const [snapshot] = await again.snapshots.list()
        found[kind] = {
          stored: stored.includes(marker),
          schema: stored.includes('CREATE TABLE'),
          header: stored.includes('SQLite format 3'),
          feature: stored.includes('encryption pbkdf2') || stored.includes('features encryption'),
          digest: stored.includes(snapshot.sha256),
          rows: (await again.query(`SELECT s FROM "${marker}"`)).length,
          label: snapshot.label === `${marker}-label`,
          verified: await again.snapshots.verify(snapshot.id),
          exported: new TextDecoder('latin1').decode(exported).includes(marker),
        }
        await again.snapshots.restore(snapshot.id)
        found[kind].restored = (await again.query(`SELECT s FROM "${marker}"`)).length
        await again.close()
      }
      return found
    },
    { names: { plain: freshName(), sealed: freshName() }, marker: MARKER },
  )
  const both = { rows: 2, label: true, verified: { ok: true, errors: [] }, exported: true, restored: 1 }
  assert.deepEqual(result.plain, { ...both, stored: true, schema: true, header: true, digest: true, feature: false })
  assert.deepEqual(result.sealed, {
    ...both,
    stored: false,
    schema: false,
    header: false,
    digest: false,
    feature: true,
  })
})

test('a wrong, missing or superfluous secret is refused, changes nothing, and gives the lock back', async () => {
  const result = await inPage(
    async ({ name, plain }) => {
      const { subtle } = crypto
      const newKey = () => subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt'])
      const db = await window.open({ name, encryption: { passphrase: 'right' } })
      await db.exec('CREATE TABLE t (n); INSERT INTO t VALUES (1)')
      await db.close()
      const before = await window.everything(name)
      const attempts = {
        missing: undefined,
        wrong: { passphrase: 'Right' },
        key: { key: await newKey() },
      }
      const codes = {}
      for (const [kind, encryption] of Object.entries(attempts))
        codes[kind] = (await window.failure(() => window.open({ name, encryption }))).code
      const unchanged = (await window.everything(name)) === before
      const held = (await navigator.locks.query()).held.length
      const again = await window.open({ name, encryption: { passphrase: 'right' } })
      const rows = await again.query('SELECT n FROM t')
      const { lock } = await again.health()
      await again.close()
      await (await window.open({ name: plain })).close()
      const superfluous = await window.failure(() => window.open({ name: plain, encryption: { passphrase: 'x' } }))
      return { codes, unchanged, held, rows, epoch: lock.epoch, superfluous }
    },
    { name: freshName(), plain: freshName() },
  )
  assert.deepEqual(result.codes, {
    missing: 'decryption_failed',
    wrong: 'decryption_failed',
    key: 'decryption_failed',
  })
  assert.equal(result.unchanged, true, 'nothing was written')
  assert.equal(result.held, 0)
  assert.deepEqual(result.rows, [{ n: 1 }])
  assert.equal(result.epoch, 2)
  assert.equal(result.superfluous.code, 'invalid_argument')
  assert.match(result.superfluous.hint, /rekey/)
})

test('keys of the user: non-extractable ones of AES-GCM and AES-KW, also kept in IndexedDB; others are refused', async () => {
  const result = await inPage(
    async (names) => {
      const { subtle } = crypto
      const out = {}
      const kinds = {
        gcm: [{ name: 'AES-GCM', length: 256 }, ['encrypt', 'decrypt']],
        gcmWrapping: [{ name: 'AES-GCM', length: 256 }, ['wrapKey', 'unwrapKey']],
        kw: [{ name: 'AES-KW', length: 256 }, ['wrapKey', 'unwrapKey']],
        cbc: [{ name: 'AES-CBC', length: 256 }, ['encrypt', 'decrypt']],
        half: [{ name: 'AES-GCM', length: 256 }, ['encrypt']],
      }
      for (const [kind, [algorithm, usages]] of Object.entries(kinds)) {
        const key = await subtle.generateKey(algorithm, false, usages)
        const other = await subtle.generateKey(algorithm, false, usages)
        const open = (encryption) => window.open({ name: names[kind], encryption })
        const failed = await window.failure(async () => {
          const db = await open({ key })
          await db.exec('CREATE TABLE t (n); INSERT INTO t VALUES (7)')
          await db.close()
        })
        if (failed.code) {
          out[kind] = failed.code
          continue
        }
        const wrong = await window.failure(() => open({ key: other }))
        const db = await open({ key: structuredClone(key) })
        out[kind] = [wrong.code, (await db.get('SELECT n FROM t')).n]
        await db.close()
      }
      return out
    },
    Object.fromEntries(['gcm', 'gcmWrapping', 'kw', 'cbc', 'half'].map((kind) => [kind, freshName()])),
  )
  const works = ['decryption_failed', 7]
  assert.deepEqual(result, {
    gcm: works,
    gcmWrapping: works,
    kw: works,
    cbc: 'invalid_argument',
    half: 'invalid_argument',
  })
})

test('records in the place of others are noticed', async () => {
  const result = await inPage(
    async (names) => {
      const encryption = { passphrase: 'words' }
      let older
      /** A database with a snapshot of one row, another one of two, and two rows in the log after it. */
      const make = async (name) => {
        const db = await window.open({ name, encryption })
        await db.exec('CREATE TABLE t (n); INSERT INTO t VALUES (1)')
        await db.snapshots.create({ label: 'first' })
        await window.change(name, async (transaction, answer) => {
          ;[older] = await answer(transaction.objectStore('chunks').getAllKeys())
        })
        await db.run('INSERT INTO t VALUES (2)')
        await db.snapshots.create({ label: 'second' })
        await db.run('INSERT INTO t VALUES (3)')
        await db.run('INSERT INTO t VALUES (4)')
        await db.close()
      }
      const changes = {
        log: async (transaction, answer) => {
          const log = transaction.objectStore('log')
          const keys = await answer(log.getAllKeys())
          const [older, newer] = keys.slice(-2)
          log.put({ ...(await answer(log.get(older))), lsn: newer[0] }, newer)
        },
        manifest: async (transaction, answer) => {
          const snapshots = transaction.objectStore('snapshots')
          const [older, newer] = await answer(snapshots.getAllKeys())
          snapshots.put({ ...(await answer(snapshots.get(older))), generation: newer }, newer)
        },
        // The newer snapshot's chunk gets the older one's bytes.
        chunk: async (transaction, answer) => {
          const chunks = transaction.objectStore('chunks')
          const [newer] = (await answer(chunks.getAllKeys())).filter((key) => key !== older)
          chunks.put(await answer(chunks.get(older)), newer)
        },
        head: async (transaction, answer) => {
          const meta = transaction.objectStore('meta')
          const head = await answer(meta.get('head'))
          meta.put({ ...head, epoch: head.epoch + 1 }, 'head')
        },
      }
      const out = {}
      for (const [kind, use] of Object.entries(changes)) {
        const name = names[kind]
        await make(name)
        await window.change(name, use)
        window.warnings.length = 0
        const failed = await window.failure(async () => {
          const db = await window.open({ name, encryption })
          const rows = await db.query('SELECT n FROM t ORDER BY n')
          await db.close()
          return { rows: rows.map((row) => row.n).join(' '), warnings: window.warnings.map((warning) => warning.code) }
        })
        out[kind] = failed.code ?? failed.resolved
      }
      return out
    },
    Object.fromEntries(['log', 'manifest', 'chunk', 'head'].map((kind) => [kind, freshName()])),
  )
  const mended = { rows: '1 2 3 4', warnings: ['snapshot_corrupt'] }
  assert.deepEqual(result, {
    log: 'database_corrupt',
    manifest: mended,
    chunk: mended,
    head: 'database_corrupt',
  })
})

test('rekey: from plain to encrypted, to another passphrase, and back', async () => {
  const result = await inPage(
    async ({ name, marker }) => {
      const out = {}
      let encryption
      const look = async (step) => {
        const stored = await window.everything(name)
        const db = await window.open({ name, encryption })
        const { n } = await db.get('SELECT count(*) AS n FROM t WHERE s LIKE ?', [`${marker}%`])
        const snapshots = await db.snapshots.list()
        const checks = await Promise.all(snapshots.map(({ id }) => db.snapshots.verify(id)))
        out[step] = [stored.includes(marker), n, snapshots.length, checks.every(({ ok }) => ok)]
        return db
      }
      const first = await window.open({ name })
      await first.exec('CREATE TABLE t (s)')
      await first.run('INSERT INTO t VALUES (?)', [`${marker}-1`])
      await first.snapshots.create({ label: marker })
      await first.run('INSERT INTO t VALUES (?)', [`${marker}-2`])
      await first.close()
      let db = await look('plain')
      for (const [step, next] of [
        ['encrypted', { passphrase: 'one' }],
        ['changed', { passphrase: 'two' }],
        ['back', null],
      ]) {
        await db.rekey(next)
        await db.run('INSERT INTO t VALUES (?)', [`${marker}-${step}`])
        await db.close()
        out[`${step}: old`] = (await window.failure(() => window.open({ name, encryption }))).code
        encryption = next ?? undefined
        db = await look(step)
      }
      await db.close()
      return out
    },
    { name: freshName(), marker: MARKER },
  )
  assert.deepEqual(result, {
    plain: [true, 2, 1, true],
    'encrypted: old': 'decryption_failed',
    encrypted: [false, 3, 1, true],
    'changed: old': 'decryption_failed',
    changed: [false, 4, 1, true],
    'back: old': 'invalid_argument',
    back: [true, 5, 1, true],
  })
})

test('a tab that is killed while it encrypts leaves the old or the new key, and all the data', async () => {
  const rounds = []
  for (let round = 0; round < 6; round++) {
    const name = freshName()
    const page = await context.page()
    await page.evaluate(async (given) => {
      const db = await window.open({ name: given })
      await db.exec(`CREATE TABLE t (b BLOB);
        WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
        INSERT INTO t SELECT randomblob(1000) FROM n`)
      await db.snapshots.create({ label: 'kept' })
      window.db = db
    }, name)
    // Without waiting for it.
    await page.evaluate(() => {
      window.changing = window.db.rekey({ passphrase: 'new' }).catch(() => {})
    })
    await new Promise((resolve) => setTimeout(resolve, round * 40))
    await page.close()
    rounds.push(
      await inPage(async (given) => {
        const lock = { onBusy: 'wait' }
        const attempt = (encryption) => window.open({ name: given, encryption, lock })
        const plain = await window.failure(() => attempt(undefined))
        const db = plain.resolved ?? (await attempt({ passphrase: 'new' }))
        const { n } = await db.get('SELECT count(*) AS n FROM t')
        const [{ id }] = await db.snapshots.list()
        const { ok } = await db.snapshots.verify(id)
        await db.close()
        return { with: plain.resolved ? 'old' : plain.code, n, ok }
      }, name),
    )
  }
  for (const round of rounds) {
    assert.ok(['old', 'decryption_failed'].includes(round.with), round.with)
    assert.deepEqual([round.n, round.ok], [3000, true])
  }
})

test('recover needs the secret, too, and then sets a damaged database to its last good state', async () => {
  const result = await inPage(async (name) => {
    const encryption = { passphrase: 'words' }
    const db = await window.open({ name, encryption })
    await db.exec('CREATE TABLE t (n); INSERT INTO t VALUES (1)')
    await db.run('INSERT INTO t VALUES (2)')
    await db.close()
    await window.change(name, async (transaction, answer) => {
      const log = transaction.objectStore('log')
      const key = (await answer(log.getAllKeys())).at(-1)
      const record = await answer(log.get(key))
      new Uint8Array(record.bytes)[100] ^= 1
      log.put(record, key)
    })
    const codes = [
      (await window.failure(() => window.open({ name, encryption }))).code,
      (await window.failure(() => window.tidelock.recover(name))).code,
      (await window.failure(() => window.tidelock.recover(name, { encryption: { passphrase: 'other' } }))).code,
    ]
    const { lostBatches, changed } = await window.tidelock.recover(name, { encryption })
    const again = await window.open({ name, encryption })
    const rows = await again.query('SELECT n FROM t')
    await again.close()
    return { codes, lostBatches, changed, rows }
  }, freshName())
  assert.deepEqual(result, {
    codes: ['database_corrupt', 'decryption_failed', 'decryption_failed'],
    lostBatches: 1,
    changed: true,
    rows: [{ n: 1 }],
  })
})

test('an encrypted database in memory is one like any other: nothing of it is at rest', async () => {
  const result = await inPage(async (name) => {
    const db = await window.open({ name, storage: 'memory', encryption: { passphrase: 'x' } })
    await db.exec('CREATE TABLE t (n); INSERT INTO t VALUES (1)')
    await db.rekey({ passphrase: 'y' })
    const row = await db.get('SELECT n FROM t')
    await db.close()
    return [row, (await indexedDB.databases()).some((entry) => entry.name === `tidelock/${name}`)]
  }, freshName())
  assert.deepEqual(result, [{ n: 1 }, false])
})
