// Whole databases: import, seed, export as bytes and as SQL, snapshots as files.
import assert from 'node:assert/strict'

/** Returns the bytes of a file that a script makes. */
async function made({ memory }, script) {
  const db = await memory()
  await db.exec(script)
  const bytes = await db.export()
  await db.close()
  return bytes
}

const codeOf = async ({ failure }, work) => (await failure(work)).code

const migrations = [
  { version: '1', name: 'a', up: 'CREATE TABLE t (s TEXT)' },
  { version: '2', name: 'b', up: (tx) => tx.exec("ALTER TABLE t ADD COLUMN two DEFAULT 'two'") },
]

export default {
  'an SQL text that needs what is missing, or whose rows come before those that they refer to': async (t) => {
    const db = await t.memory()
    const imported = (script) => db.snapshots.import(new TextEncoder().encode(script))
    for (const script of [
      'CREATE TABLE a (x CHECK (missing(x))); INSERT INTO a VALUES (1)',
      'CREATE TABLE a (x COLLATE missing); CREATE INDEX i ON a (x)',
      'CREATE VIRTUAL TABLE a USING missing(x)',
    ]) {
      const error = await t.failure(imported(script))
      assert.deepEqual([error.code, /Register the functions/.test(error.hint)], ['invalid_argument', true], script)
    }
    const { id } = await imported(
      'CREATE TABLE child (p REFERENCES parent); INSERT INTO child VALUES (1); CREATE TABLE parent (id INTEGER PRIMARY KEY); INSERT INTO parent VALUES (1)',
    )
    await db.snapshots.restore(id)
    assert.deepEqual(await db.query('SELECT * FROM child JOIN parent ON p = id'), [{ p: 1, id: 1 }])
  },

  'a function that throws while a file is checked is named': async (t) => {
    const source = `let fails = false
      const f = (value) => { if (fails) throw new Error('not now'); return value }
      export const scalar = { f: { fn: f, deterministic: true }, fail: (yes) => { fails = yes === 1 } }`
    const functions = { module: new URL(`data:text/javascript,${encodeURIComponent(source)}`) }
    const file = await made(
      { memory: () => t.memory({ functions }) },
      'CREATE TABLE a (x, g AS (f(x)) STORED, CHECK (f(x) > 0)); INSERT INTO a(x) VALUES (1)',
    )
    const db = await t.memory({ functions })
    await db.get('SELECT fail(1)')
    for (const work of [() => db.import(file), () => db.snapshots.import(file)]) {
      const error = await t.failure(work())
      assert.deepEqual([error.code, error.details.function], ['sqlite_error', 'f'])
    }
    await db.get('SELECT fail(0)')
    await db.import(file)
    assert.deepEqual(await db.query('SELECT g FROM a'), [{ g: 1 }])
  },

  'an exported file is imported elsewhere: data, live queries, a snapshot of the old data, and after closing': async (
    t,
  ) => {
    const file = await made(t, "CREATE TABLE t (s TEXT); INSERT INTO t VALUES ('imported')")
    const name = t.freshName()
    const db = await t.open({ name })
    await db.exec("CREATE TABLE t (s TEXT); CREATE TABLE other (n); INSERT INTO t VALUES ('mine')")
    const seen = []
    db.live('SELECT s FROM t').subscribe((rows) => seen.push(rows.map((row) => row.s).join()))
    await t.until(() => seen.length === 1)
    await db.import(file)
    await t.until(() => seen.at(-1) === 'imported')
    assert.deepEqual(seen, ['mine', 'imported'])
    assert.deepEqual(await db.query("SELECT name FROM sqlite_schema WHERE type = 'table'"), [{ name: 't' }])
    const [safety] = await db.snapshots.list()
    assert.equal(safety.reason, 'safety')
    await db.run("INSERT INTO t VALUES ('after')")
    await db.close()
    const again = await t.open({ name })
    assert.deepEqual(await again.query('SELECT s FROM t'), [{ s: 'imported' }, { s: 'after' }])
    await again.snapshots.restore(safety.id)
    assert.deepEqual(await again.query('SELECT s FROM t'), [{ s: 'mine' }])
  },

  'a file in WAL mode is converted, a Blob is accepted, and hostile files are refused without a trace': async (t) => {
    const file = await made(t, 'CREATE TABLE t (s TEXT); INSERT INTO t VALUES (hex(randomblob(50000)))')
    const changed = (at, bytes) => {
      const copy = file.slice()
      copy.set(bytes, at)
      return copy
    }
    const db = await t.open({ maxBytes: 1_000_000 })
    await db.exec("CREATE TABLE t (s TEXT); INSERT INTO t VALUES ('mine')")
    const before = await db.export()
    for (const [bytes, code] of [
      [new Uint8Array(0), 'database_corrupt'],
      [file.slice(0, file.length - 5000), 'database_corrupt'],
      [changed(4096, new Uint8Array(4096).fill(0xff)), 'database_corrupt'],
      [changed(18, [3, 3]), 'snapshot_incompatible'],
      [await made(t, 'CREATE TABLE t (b); INSERT INTO t VALUES (zeroblob(2000000))'), 'database_too_large'],
      [await made(t, "CREATE TABLE t (s); CREATE VIEW v AS SELECT readfile('x') FROM t"), 'invalid_argument'],
      [[1, 2, 3], 'invalid_argument'],
    ])
      assert.equal(await codeOf(t, db.import(bytes)), code)
    assert.deepEqual(await db.export(), before)
    assert.deepEqual(await db.snapshots.list(), [])
    await db.import(new Blob([changed(18, [2, 2])]))
    await db.run("INSERT INTO t VALUES ('writes')")
    assert.deepEqual(await db.query('SELECT length(s) AS n FROM t'), [{ n: 100_000 }, { n: 6 }])
  },

  'an import runs missing migrations, functions too; a failed import changes nothing': async (t) => {
    const file = await made(t, "CREATE TABLE t (s TEXT); INSERT INTO t VALUES ('file')")
    const db = await t.open({ migrations })
    await db.run("INSERT INTO t (s) VALUES ('mine')")
    assert.equal(await codeOf(t, db.import(file)), 'migration_failed')
    assert.deepEqual(await db.query('SELECT * FROM t'), [{ s: 'mine', two: 'two' }])
    await db.import(file, { baseline: '1' })
    assert.deepEqual(await db.query('SELECT * FROM t'), [{ s: 'file', two: 'two' }])
    assert.deepEqual(
      (await db.migrations.status()).map(({ state }) => state),
      ['applied', 'applied'],
    )
  },

  'a seed of any kind fills a database without data, once': async (t) => {
    const file = await made(t, "CREATE TABLE t (s TEXT); INSERT INTO t VALUES ('seed')")
    const url = URL.createObjectURL(new Blob([file]))
    const name = t.freshName()
    for (const seed of [url, new URL(url), file, file.buffer, new Blob([file]), async () => file]) {
      const db = await t.open({ name: typeof seed === 'function' ? name : undefined, seed, migrations, baseline: '1' })
      assert.deepEqual(await db.query('SELECT * FROM t'), [{ s: 'seed', two: 'two' }])
      await db.run("UPDATE t SET s = 'mine'")
      await db.close()
    }
    const seed = () => assert.fail('asked again')
    const again = await t.open({ name, seed, migrations, baseline: '1' })
    assert.deepEqual(await again.query('SELECT s FROM t'), [{ s: 'mine' }])
  },

  'a bad seed fails the opening and releases the lock, and the next opening starts over': async (t) => {
    const file = await made(t, 'CREATE TABLE t (s TEXT)')
    const name = t.freshName()
    const fails = () => {
      throw new Error('no')
    }
    for (const [seed, code] of [
      [new Uint8Array(5000), 'database_corrupt'],
      [file.slice(0, 5000), 'database_corrupt'],
      ['http://127.0.0.1:9/absent.sqlite', 'sync_network'],
      [async () => 'no bytes', 'invalid_argument'],
      [fails, 'invalid_argument'],
    ])
      assert.equal(await codeOf(t, t.open({ name, seed })), code)
    const db = await t.open({ name, seed: file })
    assert.deepEqual(await db.query('SELECT name FROM sqlite_schema'), [{ name: 't' }])
  },

  'SQL text restores the same database': async (t) => {
    const db = await t.open()
    await db.exec(`
      CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, s TEXT, r REAL, b BLOB, big INTEGER, twice AS (r * 2));
      INSERT INTO t (s, r, b, big)
        VALUES ('it''s "quoted"; ü 💡', 0.1, x'00ff10', 9223372036854775807), (char(10, 9), -1e300, x'', NULL);
      CREATE TABLE w (k TEXT PRIMARY KEY, v) WITHOUT ROWID;
      INSERT INTO w VALUES ('k', 1.0);
      CREATE INDEX i ON t (s);
      CREATE VIEW v AS SELECT s FROM t;
      CREATE TABLE log (what);
      CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO log VALUES (NEW.id); END;
      PRAGMA user_version = 5;`)
    const text = new TextDecoder('utf-8', { fatal: true }).decode(await db.export({ format: 'sql' }))
    const copy = await t.open()
    await copy.exec(text)
    for (const sql of [
      'SELECT id, s, r, b, CAST(big AS TEXT), twice FROM t',
      'SELECT * FROM w',
      'SELECT * FROM log',
      'SELECT * FROM sqlite_sequence',
      'PRAGMA user_version',
      'PRAGMA foreign_keys',
      'SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name',
    ])
      assert.deepEqual(await copy.query(sql), await db.query(sql))
    assert.equal(new TextDecoder().decode(await copy.export({ format: 'sql' })), text)
  },

  'a snapshot is exported by name, compressed, encrypted, as SQL, and imported in another database': async (t) => {
    const db = await t.open()
    await db.exec("CREATE TABLE t (s TEXT); INSERT INTO t VALUES ('kept'), (hex(zeroblob(100000)))")
    await db.exec("CREATE VIRTUAL TABLE f USING fts5(s); INSERT INTO f VALUES ('find me')")
    const info = await db.snapshots.create()
    await db.exec('DELETE FROM t')
    const encrypt = { passphrase: 'correct horse' }
    const key = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt'])
    assert.equal(await codeOf(t, db.snapshots.export('999')), 'snapshot_not_found')

    const name = t.freshName()
    const other = await t.open({ name })
    await other.exec("CREATE TABLE mine (s); INSERT INTO mine VALUES ('own')")
    const plain = await db.snapshots.export(info.id)
    const sealed = await db.snapshots.export(info.id, { encrypt })
    for (const [file, options, code] of [
      [sealed, {}, 'decryption_failed'],
      [sealed, { encrypt: { passphrase: 'wrong' } }, 'decryption_failed'],
      [new Blob(['no SQL at all']), {}, 'snapshot_corrupt'],
      [plain.slice(0, 9000), {}, 'snapshot_corrupt'],
    ])
      assert.equal(await codeOf(t, other.snapshots.import(file, options)), code)
    assert.deepEqual(await other.snapshots.list(), [])

    for (const [options, end] of [
      [{}, '.sqlite'],
      [{ compress: true }, '.sqlite.gz'],
      [{ encrypt }, '.sqlite.enc'],
      [{ compress: true, encrypt }, '.sqlite.gz.enc'],
      [{ encrypt: { key } }, '.sqlite.enc'],
      [{ format: 'sql' }, '.sql'],
      [{ format: 'sql', compress: true, encrypt }, '.sql.gz.enc'],
    ]) {
      const file = await db.snapshots.export(info.id, options)
      assert.equal(file.name, `backup-${info.createdAt}-${info.id}${end}`)
      assert.equal(file.size < info.bytes / 2, options.compress === true, end)
      const imported = await other.snapshots.import(file, { encrypt: options.encrypt, label: 'from a file' })
      assert.equal(imported.label, 'from a file')
      assert.equal(imported.sha256 === info.sha256, options.format !== 'sql', end)
      assert.deepEqual(await other.snapshots.verify(imported.id), { ok: true, errors: [] })
      await other.snapshots.restore(imported.id)
      assert.deepEqual(await other.get('SELECT s FROM t LIMIT 1'), { s: 'kept' })
      assert.deepEqual(await other.get("SELECT s FROM f WHERE f MATCH 'find'"), { s: 'find me' })
      // The next database gets these rows from the file only.
      await other.exec('DROP TABLE t; DROP TABLE f')
    }
    await other.close()
    const kept = (await (await t.open({ name })).snapshots.list()).filter(({ label }) => label === 'from a file')
    assert.equal(kept.length, 7)
  },

  'an import that is cancelled before its commit changes nothing': async (t) => {
    const file = await made(t, "CREATE TABLE t (s TEXT); INSERT INTO t VALUES ('imported')")
    const db = await t.open()
    await db.exec("CREATE TABLE t (s TEXT); INSERT INTO t VALUES ('mine')")
    // The first import is cancelled while its code is loaded.
    for (const waits of [false, true]) {
      const tx = await db.begin()
      const controller = new AbortController()
      let reason
      db.import(file, { signal: controller.signal }).catch((thrown) => {
        reason = thrown
      })
      // Pause: the import has to get as far as waiting for the transaction's end, which no state shows.
      if (waits) await new Promise((resolve) => setTimeout(resolve, 20))
      controller.abort('no more')
      await t.until(() => reason === 'no more')
      await tx.run("UPDATE t SET s = 'meanwhile'")
      await tx.commit()
    }
    assert.equal(await codeOf(t, db.import(file, { timeoutMs: 0 })), 'invalid_argument')
    assert.deepEqual(await db.query('SELECT s FROM t'), [{ s: 'meanwhile' }])
    await db.import(file, { timeoutMs: 60_000 })
    assert.deepEqual(await db.query('SELECT s FROM t'), [{ s: 'imported' }])
  },

  'unpushed changes stop an import unless forced; those of the file are dropped, and capture continues': async (t) => {
    const pending = async (of) => (await of.sync.pending()).map(({ op }) => op)
    const db = await t.open({ remote: { url: 'http://127.0.0.1:9', key: 'anon', tables: ['t'] } })
    await db.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT); INSERT INTO t VALUES (1, 'local')")
    const file = await db.export()
    assert.equal(await codeOf(t, db.import(file)), 'unpushed_changes')
    await db.import(file, { force: true })
    assert.deepEqual(await pending(db), [])
    await db.run("UPDATE t SET s = 'again'")
    assert.deepEqual(await pending(db), ['update'])
    // Also without a remote, because the file lists the captured tables.
    const plain = await t.open({ seed: file })
    assert.deepEqual(await pending(plain), [])
    await plain.run("INSERT INTO t VALUES (2, 'b')")
    assert.deepEqual(await pending(plain), ['insert'])
  },
}
