// Sensitive columns: the SQL functions encrypt and decrypt, alone and synced as ciphertext.
import assert from 'node:assert/strict'
import { createCipheriv, createDecipheriv, createHash, pbkdf2Sync, randomBytes } from 'node:crypto'
import { onFreshName } from './in-page.mjs'
import { context, remoteTable, tableName, test } from './sync-harness.mjs'

const inPage = (work, argument) => onFreshName(context, work, argument)

// docs/columns.md shows these two for servers.

/** What a program in Node makes of a column's bytes. */
function opened(bytes, key) {
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(5, 17))
  decipher.setAAD(bytes.subarray(0, 5))
  decipher.setAuthTag(bytes.subarray(-16))
  return Buffer.concat([decipher.update(bytes.subarray(17, -16)), decipher.final()]).toString('utf8')
}

/** What a program in Node writes into a column. */
function sealed(text, key) {
  const id = createHash('sha256').update('tidelock column key').update(key).digest().subarray(0, 4)
  const head = Buffer.concat([Buffer.of(1), id])
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  cipher.setAAD(head)
  return Buffer.concat([head, nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()])
}

test('a column is encrypted and decrypted, there again at the next opening, and readable with Node', async () => {
  const key = randomBytes(32)
  const theirs = sealed('from a server, ü😀', key)
  const result = await inPage(
    async ([name, { key, theirs }]) => {
      const columnKey = new Uint8Array(key)
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
      const options = { name, migrations, columnKey }
      const db = await window.open(options)
      // What was given is copied.
      columnKey.fill(0)
      await db.run('INSERT INTO people (name) VALUES (?)', ['Cleo'])
      await db.run('INSERT INTO people (name, note) VALUES (?, ?)', ['Dora', new Uint8Array(theirs)])
      await db.runMany('INSERT INTO people (name, note) VALUES (?, encrypt(?))', [
        ['Emil', ''],
        ['Fritz', 'ü😀'],
      ])
      const read = (from) =>
        from.query('SELECT name, decrypt(note) AS note FROM people ORDER BY id', [], { rowMode: 'array' })
      const live = db.live('SELECT decrypt(note) AS note FROM people WHERE id = 1')
      const first = (await live[Symbol.asyncIterator]().next()).value
      live.close()
      const before = await read(db)
      const [twice] = await db.query(
        "SELECT encrypt('x') = encrypt('x') AS same, typeof(encrypt('x')) AS type, encrypt(NULL) AS n, decrypt(NULL) AS d",
      )
      const { id } = await db.snapshots.create({ label: 'encrypted' })
      const verified = await db.snapshots.verify(id)
      const drift = await db.migrations.drift()
      await db.run("UPDATE people SET note = encrypt('changed')")
      await db.snapshots.restore(id)
      const restored = await read(db)
      await db.close()
      const plain = await window.open({ name, migrations })
      const missing = await window.failure(() => plain.query('SELECT decrypt(note) FROM people'))
      const trigger = await window.failure(() => plain.run("INSERT INTO people (name) VALUES ('x')"))
      const stored = await plain.query('SELECT note FROM people WHERE id < 3', [], { rowMode: 'array' })
      const file = new TextDecoder('latin1').decode(await plain.export())
      await plain.close()
      const again = await window.open({ ...options, columnKey: new Uint8Array(key) })
      const after = await read(again)
      await again.close()
      return {
        before,
        after,
        restored,
        first,
        twice,
        verified,
        drift,
        missing,
        trigger,
        stored: stored.map(([note]) => [...note]),
        leaked: ['by a migration', 'by a function', 'changed'].filter((text) => file.includes(text)),
      }
    },
    { key: [...key], theirs: [...theirs] },
  )
  const expected = [
    ['Ada', 'by a migration'],
    ['Bob', 'by a function'],
    ['Cleo', 'none'],
    ['Dora', 'from a server, ü😀'],
    ['Emil', ''],
    ['Fritz', 'ü😀'],
  ]
  assert.deepEqual(result.before, expected)
  assert.deepEqual(result.after, expected)
  assert.deepEqual(result.restored, expected)
  assert.deepEqual(result.first, [{ note: 'by a migration' }])
  assert.deepEqual(result.twice, { same: 0, type: 'blob', n: null, d: null })
  assert.deepEqual(result.verified, { ok: true, errors: [] })
  assert.deepEqual(result.drift, { added: [], removed: [], changed: [] })
  assert.deepEqual(
    result.stored.map((note) => opened(Buffer.from(note), key)),
    ['by a migration', 'by a function'],
  )
  assert.deepEqual(result.leaked, [])
  for (const { code, message, hint } of [result.missing, result.trigger]) {
    assert.equal(code, 'sqlite_error')
    assert.match(message, /(no such|unknown) function: (de|en)crypt/)
    assert.match(hint, /columnKey/)
  }
})

test('what cannot be decrypted or encrypted fails its statement, says why, and nothing more', async () => {
  const result = await inPage(async (name) => {
    const options = { name, storage: 'memory', snapshots: false }
    const [one, other] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)]
    const elsewhere = await window.open({ ...options, name: `${name}-2`, columnKey: other })
    const theirs = (await elsewhere.get("SELECT encrypt('a secret') AS x")).x
    await elsewhere.close()
    const db = await window.open({ ...options, columnKey: one })
    await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, x)')
    const { x } = await db.get("SELECT encrypt('a secret') AS x")
    const damaged = x.slice()
    damaged[25] ^= 1
    const failed = []
    for (const value of ['a secret', 4711, x.slice(0, 32), new Uint8Array(40), theirs, damaged])
      failed.push(await window.failure(() => db.query('SELECT decrypt(?)', [value])))
    for (const value of [4711, 47.11, x])
      failed.push(await window.failure(() => db.query('SELECT encrypt(?)', [value])))
    // All of a statement or nothing; a transaction goes on.
    await db.runMany('INSERT INTO t (x) VALUES (?)', [[x], [theirs]])
    const kept = await db.transaction(async (tx) => {
      await tx.run('INSERT INTO t (x) VALUES (encrypt(?))', ['more'])
      const error = await window.failure(() => tx.run('UPDATE t SET x = decrypt(x)'))
      return [error.code, await tx.get('SELECT count(*) AS n, group_concat(DISTINCT typeof(x)) AS types FROM t')]
    })
    const schema = await window.failure(() => db.exec('CREATE INDEX plain ON t (decrypt(x))'))
    await db.exec('CREATE TEMP VIEW readable AS SELECT decrypt(x) AS x FROM t WHERE id = 1')
    const readable = await db.get('SELECT x FROM readable')
    await db.close()
    const both = await window.open({ ...options, columnKey: [one, other] })
    const read = await both.get('SELECT decrypt(?) AS theirs, decrypt(?) AS ours', [theirs, x])
    const { fresh } = await both.get("SELECT encrypt('') AS fresh")
    await both.close()
    return { failed, kept, schema, readable, read, first: String(fresh.slice(0, 5)) === String(x.slice(0, 5)) }
  })
  const said = result.failed.map(({ code, details }) => [code, details.reason])
  assert.deepEqual(said, [
    ['decryption_failed', 'not_encrypted'],
    ['decryption_failed', 'not_encrypted'],
    ['decryption_failed', 'not_encrypted'],
    ['decryption_failed', 'not_encrypted'],
    ['decryption_failed', 'other_key'],
    ['decryption_failed', 'damaged'],
    ['invalid_argument', undefined],
    ['invalid_argument', undefined],
    ['invalid_argument', undefined],
  ])
  assert.match(result.failed[4].details.keyId, /^[0-9a-f]{8}$/)
  for (const { json } of result.failed) assert.doesNotMatch(json, /secret|47/)
  assert.deepEqual(result.kept, ['decryption_failed', { n: 3, types: 'blob' }])
  assert.match(result.schema.message, /unsafe use of decrypt/)
  assert.match(result.schema.hint, /TEMP/)
  assert.deepEqual(result.readable, { x: 'a secret' })
  assert.deepEqual(result.read, { theirs: 'a secret', ours: 'a secret' })
  assert.equal(result.first, true)
})

test('keys come as bytes, as CryptoKeys and as passphrases, and each is the same elsewhere', async () => {
  const bytes = randomBytes(32)
  const result = await inPage(
    async ([name, given]) => {
      const options = { name, storage: 'memory', snapshots: false }
      const bytes = new Uint8Array(given)
      const imported = (extractable, length = 32, usages = ['encrypt']) =>
        crypto.subtle.importKey('raw', bytes.slice(0, length), 'AES-GCM', extractable, usages)
      const words = { passphrase: 'correct horse', salt: 'user-17 of the shop' }
      const written = []
      for (const columnKey of [
        bytes,
        await imported(true),
        words,
        { ...words, salt: new TextEncoder().encode(words.salt) },
      ]) {
        const db = await window.open({ ...options, columnKey })
        written.push([...(await db.get("SELECT encrypt('the same') AS x")).x])
        await db.close()
      }
      const pair = await crypto.subtle.generateKey({ name: 'ECDH', namedCurve: 'P-256' }, true, ['deriveBits'])
      const wrong = []
      for (const columnKey of [
        await imported(false),
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
        wrong.push(await window.failure(() => window.open({ ...options, columnKey })))
      const source = 'export const scalar = { Encrypt: () => 1 }'
      const url = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }))
      const taken = await window.failure(() =>
        window.open({ ...options, columnKey: bytes, functions: { module: new URL(url) } }),
      )
      return { written, wrong, taken }
    },
    [...bytes],
  )
  const derived = pbkdf2Sync('correct horse', 'user-17 of the shop', 600_000, 32, 'sha256')
  const keys = [bytes, bytes, derived, derived]
  const texts = result.written.map((written, at) => opened(Buffer.from(written), keys[at]))
  assert.deepEqual(texts, Array(4).fill('the same'))
  for (const { code, details, notOurs } of result.wrong)
    assert.equal(code, 'invalid_argument', notOurs ?? JSON.stringify(details))
  assert.match(result.wrong[0].message, /may be exported/)
  assert.match(result.taken.message, /functions can't define Encrypt/)
})

test('a worker that died comes back with its keys', { only: 'worker', because: 'it is about its death' }, async () => {
  const result = await inPage(async (name) => {
    const db = await window.open({ name, columnKey: { passphrase: 'words', salt: 'long enough' } })
    await db.exec('CREATE TABLE t (x)')
    await db.run("INSERT INTO t VALUES (encrypt('still here'))")
    window.workers[0].terminate()
    const rows = await window.until(() => db.query('SELECT decrypt(x) AS x FROM t').catch(() => undefined))
    await db.close()
    return rows
  })
  assert.deepEqual(result, [{ x: 'still here' }])
})

test('of a group each database has a key of its own', async () => {
  const result = await inPage(async (name) => {
    const member = (fill) => ({
      name: `${name}-${fill}`,
      storage: 'memory',
      thread: window.thread,
      columnKey: new Uint8Array(32).fill(fill),
    })
    const group = await window.tidelock.openGroup({ one: member(1), two: member(2) })
    const { x } = await group.one.get("SELECT encrypt('mine') AS x")
    const mine = await group.one.get('SELECT decrypt(?) AS x', [x])
    const theirs = await window.failure(() => group.two.get('SELECT decrypt(?) AS x', [x]))
    await group.close()
    return [mine, theirs.code, theirs.details.reason]
  })
  assert.deepEqual(result, [{ x: 'mine' }, 'decryption_failed', 'other_key'])
})

test('encrypted columns sync as ciphertext, and another device with the key reads them', async () => {
  const table = tableName()
  const key = randomBytes(32)
  await remoteTable(
    table,
    'id bigint primary key, label text, secret bytea, updated_at timestamptz not null default clock_timestamp()',
    `(1, 'server', '\\x${sealed('written by a server', key).toString('hex')}')`,
  )
  const remote = { url: context.remote.url, key: context.remote.anonKey, tables: [{ table, cursor: 'updated_at' }] }
  const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, label TEXT, secret BLOB, updated_at TEXT)`
  const device = (work, given = key) =>
    inPage(
      async ([name, { source, key, remote, schema, table }]) => {
        const columnKey = key === null ? undefined : new Uint8Array(key)
        const migrations = [{ version: '1', name: 'schema', up: schema }]
        const audit = { tables: [table], redact: ['secret'] }
        const db = await window.open({ name, migrations, remote, columnKey, audit })
        try {
          return await new Function(`return (${source})`)()(db, table)
        } finally {
          await db.close()
        }
      },
      { source: work.toString(), key: given === null ? null : [...given], remote, schema, table },
    )
  const first = await device(async (db, table) => {
    await db.sync.run()
    await db.run(`INSERT INTO ${table} (id, label, secret) VALUES (2, 'device', encrypt(?))`, [
      'written by a device, ü',
    ])
    await db.run(`UPDATE ${table} SET secret = encrypt(decrypt(secret) || ', and changed') WHERE id = 1`)
    const pushed = await db.sync.push()
    const second = await db.sync.run()
    const audited = await db.query("SELECT new_values FROM audit_log WHERE actor IS NOT 'sync'")
    return { pushed, second, audited }
  })
  assert.deepEqual([first.pushed.tables[0].inserted, first.pushed.tables[0].updated], [1, 1])
  assert.deepEqual([first.second.push?.tables[0]?.updated ?? 0], [0])
  for (const { new_values } of first.audited) assert.equal(JSON.parse(new_values).secret, '[redacted]')
  const rows = await context.remote.sql(`select encode(secret, 'hex') as secret from ${table} order by id`)
  const texts = rows.map(({ secret }) => opened(Buffer.from(secret, 'hex'), key))
  assert.deepEqual(texts, ['written by a server, and changed', 'written by a device, ü'])

  const read = (db, table) =>
    db.sync
      .pull()
      .then(() => db.query(`SELECT decrypt(secret) AS secret FROM ${table} ORDER BY id`, [], { rowMode: 'array' }))
  assert.deepEqual(
    await device(read),
    texts.map((text) => [text]),
  )
  // A conflict, and columns without the key, are about bytes as any other's.
  const without = await device(async (db, table) => {
    await db.sync.pull()
    await db.run(`UPDATE ${table} SET label = 'renamed' WHERE id = 2`)
    const report = await db.sync.push()
    const failure = await window.failure(() => db.query(`SELECT decrypt(secret) FROM ${table}`))
    return [report.tables[0].updated, failure.code]
  }, null)
  assert.deepEqual(without, [1, 'sqlite_error'])
  const [{ secret }] = await context.remote.sql(`select encode(secret, 'hex') as secret from ${table} where id = 2`)
  assert.equal(opened(Buffer.from(secret, 'hex'), key), 'written by a device, ü')
})
