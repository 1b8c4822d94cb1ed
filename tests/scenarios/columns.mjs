// Sensitive columns: the SQL functions `encrypt` and `decrypt`, and their keys.
import assert from 'node:assert/strict'
import { decrypted, encrypted, randomKey } from './run/column-values.mjs'

const rows = { rowMode: 'array' }

export default {
  'a column is encrypted and decrypted, also after the next opening and by other programs': async (t) => {
    const key = randomKey()
    const columnKey = key.slice()
    const migrations = [
      {
        version: '1',
        name: 'people',
        up: `CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, note BLOB);
             CREATE TRIGGER noted AFTER INSERT ON people WHEN NEW.note IS NULL BEGIN
               UPDATE people SET note = encrypt('none') WHERE id = NEW.id;
             END;
             INSERT INTO people (name, note) VALUES ('Ada', encrypt('by a migration'))`,
      },
      {
        version: '2',
        name: 'more',
        up: (tx) => tx.run("INSERT INTO people (name, note) VALUES ('Bob', encrypt(?))", ['by a function']),
      },
    ]
    const name = t.freshName()
    const read = (db) => db.query('SELECT name, decrypt(note) FROM people ORDER BY id', [], rows)
    const expected = [
      ['Ada', 'by a migration'],
      ['Bob', 'by a function'],
      ['Cleo', 'none'],
      ['Dora', 'from a server, ü😀'],
      ['Emil', ''],
      ['Fritz', 'ü😀'],
    ]
    const db = await t.open({ name, migrations, columnKey })
    // The option was copied, so changing it has no effect.
    columnKey.fill(0)
    await db.run('INSERT INTO people (name) VALUES (?)', ['Cleo'])
    await db.run('INSERT INTO people (name, note) VALUES (?, ?)', ['Dora', await encrypted('from a server, ü😀', key)])
    await db.runMany('INSERT INTO people (name, note) VALUES (?, encrypt(?))', [
      ['Emil', ''],
      ['Fritz', 'ü😀'],
    ])
    assert.deepEqual(await read(db), expected)
    const live = db.live('SELECT decrypt(note) AS note FROM people WHERE id = 1')
    assert.deepEqual((await live[Symbol.asyncIterator]().next()).value, [{ note: 'by a migration' }])
    live.close()
    assert.deepEqual(
      await db.get(
        "SELECT encrypt('x') = encrypt('x') AS same, typeof(encrypt('x')) AS type, encrypt(NULL) AS n, decrypt(NULL) AS d",
      ),
      { same: 0, type: 'blob', n: null, d: null },
    )
    const { id } = await db.snapshots.create({ label: 'encrypted' })
    assert.deepEqual(await db.snapshots.verify(id), { ok: true, errors: [] })
    assert.deepEqual(await db.migrations.drift(), { added: [], removed: [], changed: [] })
    await db.run("UPDATE people SET note = encrypt('changed')")
    await db.snapshots.restore(id)
    assert.deepEqual(await read(db), expected)
    await db.close()

    const plain = await t.open({ name, migrations })
    for (const sql of ['SELECT decrypt(note) FROM people', "INSERT INTO people (name) VALUES ('x')"]) {
      const { code, message, hint } = await t.failure(plain.query(sql))
      assert.equal(code, 'sqlite_error')
      assert.match(message, /(no such|unknown) function: (de|en)crypt/)
      assert.match(hint, /columnKey/)
    }
    const stored = await plain.query('SELECT note FROM people WHERE id < 3 ORDER BY id', [], rows)
    assert.deepEqual(await Promise.all(stored.map(([note]) => decrypted(note, key))), [
      'by a migration',
      'by a function',
    ])
    const file = new TextDecoder('latin1').decode(await plain.export())
    assert.deepEqual(
      ['by a migration', 'by a function', 'changed'].filter((text) => file.includes(text)),
      [],
    )
    await plain.close()
    assert.deepEqual(await read(await t.open({ name, migrations, columnKey: key })), expected)
  },

  'a failed encryption or decryption fails its statement, with the reason and no values': async ({
    memory,
    failure,
  }) => {
    const [one, other] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)]
    const elsewhere = await memory({ columnKey: other })
    const { theirs } = await elsewhere.get("SELECT encrypt('a secret') AS theirs")
    const db = await memory({ columnKey: one })
    const { ours } = await db.get("SELECT encrypt('a secret') AS ours")
    const damaged = ours.slice()
    damaged[25] ^= 1
    for (const [call, value, code, reason] of [
      ['decrypt', 'a secret', 'decryption_failed', 'not_encrypted'],
      ['decrypt', 4711, 'decryption_failed', 'not_encrypted'],
      ['decrypt', ours.slice(0, 32), 'decryption_failed', 'not_encrypted'],
      ['decrypt', new Uint8Array(40), 'decryption_failed', 'not_encrypted'],
      ['decrypt', theirs, 'decryption_failed', 'other_key'],
      ['decrypt', damaged, 'decryption_failed', 'damaged'],
      ['encrypt', 4711, 'invalid_argument'],
      ['encrypt', 47.11, 'invalid_argument'],
      ['encrypt', ours, 'invalid_argument'],
    ]) {
      const failed = await failure(db.query(`SELECT ${call}(?)`, [value]))
      assert.deepEqual([failed.code, failed.details.reason], [code, reason])
      if (reason === 'other_key') assert.match(failed.details.keyId, /^[0-9a-f]{8}$/)
      assert.doesNotMatch(failed.json, /secret|47/)
    }
    // A failed statement changes nothing; its transaction can continue.
    await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, x)')
    await db.runMany('INSERT INTO t (x) VALUES (?)', [[ours], [theirs]])
    await db.transaction(async (tx) => {
      await tx.run('INSERT INTO t (x) VALUES (encrypt(?))', ['more'])
      assert.equal((await failure(tx.run('UPDATE t SET x = decrypt(x)'))).code, 'decryption_failed')
    })
    assert.deepEqual(await db.get('SELECT count(*) AS n, group_concat(DISTINCT typeof(x)) AS types FROM t'), {
      n: 3,
      types: 'blob',
    })
    const schema = await failure(db.exec('CREATE INDEX plain ON t (decrypt(x))'))
    assert.match(schema.message, /unsafe use of decrypt/)
    assert.match(schema.hint, /TEMP/)
    await db.exec('CREATE TEMP VIEW readable AS SELECT decrypt(x) AS x FROM t WHERE id = 1')
    assert.deepEqual(await db.get('SELECT x FROM readable'), { x: 'a secret' })
    // Of several keys the first one encrypts, and all of them decrypt.
    const both = await memory({ columnKey: [one, other] })
    assert.deepEqual(await both.get('SELECT decrypt(?) AS theirs, decrypt(?) AS ours', [theirs, ours]), {
      theirs: 'a secret',
      ours: 'a secret',
    })
    const { fresh } = await both.get("SELECT encrypt('') AS fresh")
    assert.deepEqual(fresh.slice(0, 5), ours.slice(0, 5))
  },

  'keys are bytes, CryptoKeys or passphrases, and each is the same in other programs': async ({ memory, failure }) => {
    const { subtle } = crypto
    const bytes = randomKey()
    const imported = (extractable, length = 32) =>
      subtle.importKey('raw', bytes.slice(0, length), 'AES-GCM', extractable, ['encrypt'])
    const salt = new TextEncoder().encode('user-17 of the shop')
    const words = { passphrase: 'correct horse', salt: 'user-17 of the shop' }
    const phrase = await subtle.importKey('raw', new TextEncoder().encode(words.passphrase), 'PBKDF2', false, [
      'deriveBits',
    ])
    const pbkdf2 = { name: 'PBKDF2', hash: 'SHA-256', salt, iterations: 600_000 }
    const derived = new Uint8Array(await subtle.deriveBits(pbkdf2, phrase, 256))
    for (const [columnKey, key] of [
      [bytes, bytes],
      [await imported(true), bytes],
      [words, derived],
      [{ ...words, salt }, derived],
    ]) {
      const db = await memory({ columnKey })
      const { x } = await db.get("SELECT encrypt('the same') AS x")
      assert.equal(await decrypted(x, key), 'the same')
    }
    const kept = await failure(imported(false).then((columnKey) => memory({ columnKey })))
    assert.equal(kept.code, 'invalid_argument')
    assert.match(kept.message, /extractable/)
    const pair = await subtle.generateKey({ name: 'ECDH', namedCurve: 'P-256' }, true, ['deriveBits'])
    for (const columnKey of [
      await imported(true, 16),
      pair.privateKey,
      pair.publicKey,
      new Uint8Array(31),
      [],
      [bytes, 'words'],
      'words',
      null,
      bytes.buffer,
      { passphrase: 'words' },
      { ...words, salt: 'short' },
      { ...words, passphrase: '' },
      { ...words, more: 1 },
    ])
      assert.equal((await failure(memory({ columnKey }))).code, 'invalid_argument')
    const module = new URL('data:text/javascript,export const scalar = { Encrypt: () => 1 }')
    const taken = await failure(memory({ columnKey: bytes, functions: { module } }))
    assert.match(taken.message, /functions can't define Encrypt/)
  },

  'each database of a group has its own key': async ({ tidelock, failure, freshName, thread }) => {
    const member = (fill) => ({
      name: freshName(),
      storage: 'memory',
      thread,
      columnKey: new Uint8Array(32).fill(fill),
    })
    const group = await tidelock.openGroup({ one: member(1), two: member(2) })
    const { x } = await group.one.get("SELECT encrypt('mine') AS x")
    assert.deepEqual(await group.one.get('SELECT decrypt(?) AS x', [x]), { x: 'mine' })
    const { code, details } = await failure(group.two.get('SELECT decrypt(?) AS x', [x]))
    assert.deepEqual([code, details.reason], ['decryption_failed', 'other_key'])
    await group.close()
  },
}
