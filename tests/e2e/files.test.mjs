// Whole databases in and out: import, seed, export as bytes and as SQL, snapshots as files.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { freshName, suite, test } from './harness.mjs'

const context = suite()

/** Runs `work(name, argument)` in a fresh tab, in which `made(script)` gives the bytes of a file. */
async function inPage(work, argument) {
  const page = await context.page()
  try {
    return await page.evaluate(
      async ([source, name, value]) => {
        window.made = async (script) => {
          const db = await window.open({ name: 'maker', storage: 'memory' })
          await db.exec(script)
          const bytes = await db.export()
          await db.close()
          return bytes
        }
        return new Function(`return (${source})`)()(name, value)
      },
      [work.toString(), freshName(), argument],
    )
  } finally {
    await page.close()
  }
}

test('an exported file is imported elsewhere: data, live queries, a snapshot of what was there, and after a reload', async () => {
  const result = await inPage(async (name) => {
    const file = await window.made("CREATE TABLE t (s TEXT); INSERT INTO t VALUES ('imported')")
    const db = await window.open({ name })
    await db.exec("CREATE TABLE t (s TEXT); CREATE TABLE other (n); INSERT INTO t VALUES ('mine')")
    const seen = []
    db.live('SELECT s FROM t').subscribe((rows) => seen.push(rows.map((row) => row.s).join()))
    await window.until(() => seen.length === 1)
    await db.import(file)
    await window.until(() => seen.at(-1) === 'imported')
    const ran = [...seen]
    const tables = await db.query("SELECT name FROM sqlite_schema WHERE type = 'table'")
    const [safety] = await db.snapshots.list()
    await db.run("INSERT INTO t VALUES ('after')")
    await db.close()
    const again = await window.open({ name })
    const rows = await again.query('SELECT s FROM t')
    await again.snapshots.restore(safety.id)
    const back = await again.query('SELECT s FROM t')
    await again.close()
    return { seen: ran, tables, reason: safety.reason, rows, back }
  })
  assert.deepEqual(result, {
    seen: ['mine', 'imported'],
    tables: [{ name: 't' }],
    reason: 'safety',
    rows: [{ s: 'imported' }, { s: 'after' }],
    back: [{ s: 'mine' }],
  })
})

test('a file in WAL mode is mended, a Blob does too, and hostile files are refused without a trace', async () => {
  const result = await inPage(async (name) => {
    const file = await window.made('CREATE TABLE t (s TEXT); INSERT INTO t VALUES (hex(randomblob(50000)))')
    const db = await window.open({ name, maxBytes: 1_000_000 })
    await db.exec("CREATE TABLE t (s TEXT); INSERT INTO t VALUES ('mine')")
    const changed = (at, bytes) => {
      const copy = file.slice()
      copy.set(bytes, at)
      return copy
    }
    const before = await db.export()
    const codes = {}
    for (const [what, bytes] of Object.entries({
      empty: new Uint8Array(0),
      text: new TextEncoder().encode('<!doctype html>'.repeat(100)),
      cut: file.slice(0, file.length - 5000),
      torn: changed(4096, new Uint8Array(4096).fill(0xff)),
      newer: changed(18, [3, 3]),
      large: await window.made('CREATE TABLE t (b); INSERT INTO t VALUES (zeroblob(2000000))'),
      view: await window.made("CREATE TABLE t (s); CREATE VIEW v AS SELECT readfile('x') FROM t"),
      list: [1, 2, 3],
    }))
      codes[what] = (await window.failure(() => db.import(bytes))).code
    const same = (await db.export()).join() === before.join()
    const snapshots = (await db.snapshots.list()).length
    await db.import(new Blob([changed(18, [2, 2])]))
    const { n } = await db.get('SELECT length(s) AS n FROM t')
    await db.run("INSERT INTO t VALUES ('writes')")
    await db.close()
    return { codes, same, snapshots, n }
  })
  assert.deepEqual(result, {
    codes: {
      empty: 'database_corrupt',
      text: 'database_corrupt',
      cut: 'database_corrupt',
      torn: 'database_corrupt',
      newer: 'snapshot_incompatible',
      large: 'database_too_large',
      view: 'invalid_argument',
      list: 'invalid_argument',
    },
    same: true,
    snapshots: 0,
    n: 100_000,
  })
})

test('an import gets the migrations that it lacks; one that fails leaves everything as it was', async () => {
  const result = await inPage(async (name) => {
    const migrations = [
      { version: '1', name: 'a', up: 'CREATE TABLE t (s TEXT)' },
      { version: '2', name: 'b', up: async (tx) => tx.exec("ALTER TABLE t ADD COLUMN two DEFAULT 'two'") },
    ]
    const file = await window.made("CREATE TABLE t (s TEXT); INSERT INTO t VALUES ('file')")
    const db = await window.open({ name, migrations })
    await db.run("INSERT INTO t (s) VALUES ('mine')")
    const failed = (await window.failure(() => db.import(file))).code
    const kept = await db.query('SELECT * FROM t')
    await db.import(file, { baseline: '1' })
    const rows = await db.query('SELECT * FROM t')
    const states = (await db.migrations.status()).map(({ state }) => state)
    await db.close()
    return { failed, kept, rows, states }
  })
  assert.deepEqual(result, {
    failed: 'migration_failed',
    kept: [{ s: 'mine', two: 'two' }],
    rows: [{ s: 'file', two: 'two' }],
    states: ['applied', 'applied'],
  })
})

test('a seed of any kind fills a database without data, once', async () => {
  const result = await inPage(async (name) => {
    const file = await window.made("CREATE TABLE t (s TEXT); INSERT INTO t VALUES ('seed')")
    const migrations = [
      { version: '1', name: 'a', up: 'CREATE TABLE t (s TEXT)' },
      { version: '2', name: 'b', up: "ALTER TABLE t ADD COLUMN two DEFAULT 'two'" },
    ]
    const url = URL.createObjectURL(new Blob([file]))
    const seeds = {
      url,
      object: new URL(url),
      bytes: file,
      buffer: file.buffer,
      blob: new Blob([file]),
      code: async () => file,
    }
    const rows = {}
    for (const [kind, seed] of Object.entries(seeds)) {
      const db = await window.open({ name: `${name}-${kind}`, seed, migrations, baseline: '1' })
      rows[kind] = (await db.query('SELECT s || two AS s FROM t'))[0].s
      await db.run("UPDATE t SET s = 'mine'")
      await db.close()
    }
    let asked = 0
    const again = await window.open({ name: `${name}-code`, seed: async () => ++asked, migrations, baseline: '1' })
    const kept = await again.query('SELECT s FROM t')
    await again.close()
    return { rows, asked, kept }
  })
  const all = ['url', 'object', 'bytes', 'buffer', 'blob', 'code']
  assert.deepEqual(result.rows, Object.fromEntries(all.map((kind) => [kind, 'seedtwo'])))
  assert.deepEqual([result.asked, result.kept], [0, [{ s: 'mine' }]])
})

test('a bad seed fails the opening, gives the lock back, and the next one begins anew', async () => {
  const result = await inPage(async (name) => {
    const file = await window.made('CREATE TABLE t (s TEXT)')
    const codes = []
    for (const seed of [
      new Uint8Array(5000),
      file.slice(0, 5000),
      '/gone.sqlite',
      async () => 'no bytes',
      () => {
        throw new Error('no')
      },
    ])
      codes.push((await window.failure(() => window.open({ name, seed }))).code)
    const db = await window.open({ name, seed: file })
    const tables = await db.query('SELECT name FROM sqlite_schema')
    await db.close()
    return { codes, tables }
  })
  assert.deepEqual(result, {
    codes: ['database_corrupt', 'database_corrupt', 'sync_network', 'invalid_argument', 'invalid_argument'],
    tables: [{ name: 't' }],
  })
})

const schema = `
  CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, s TEXT, r REAL, b BLOB, big INTEGER, twice AS (r * 2));
  INSERT INTO t (s, r, b, big) VALUES ('it''s "quoted"; ü 💡', 0.1, x'00ff10', 9223372036854775807), (char(10, 9), -1e300, x'', NULL);
  CREATE TABLE w (k TEXT PRIMARY KEY, v) WITHOUT ROWID;
  INSERT INTO w VALUES ('k', 1.0);
  CREATE INDEX i ON t (s);
  CREATE VIEW v AS SELECT s FROM t;
  CREATE TABLE log (what);
  CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO log VALUES (NEW.id); END;
  PRAGMA user_version = 5;`

test('SQL text brings the same database back, in tidelock and in the sqlite3 shell', async () => {
  const result = await inPage(async (name, sql) => {
    const db = await window.open({ name, integers: 'bigint' })
    await db.exec(sql)
    const bytes = await db.export({ format: 'sql' })
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    const copy = await window.open({ name: `${name}-copy`, integers: 'bigint' })
    await copy.exec(text)
    const all = async (one) =>
      String(
        await Promise.all(
          [
            'SELECT * FROM t',
            'SELECT * FROM w',
            'SELECT * FROM log',
            'SELECT * FROM sqlite_sequence',
            'PRAGMA user_version',
            'PRAGMA foreign_keys',
            'SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name',
          ].map((query) => one.query(query, [], { rowMode: 'array' })),
        ),
      )
    const out = {
      text,
      same: (await all(db)) === (await all(copy)),
      again: new TextDecoder().decode(await copy.export({ format: 'sql' })),
    }
    await db.close()
    await copy.close()
    return out
  }, schema)
  assert.ok(result.same)
  assert.equal(result.again, result.text)
  const folder = mkdtempSync(path.join(tmpdir(), 'tidelock-sql-'))
  try {
    const file = path.join(folder, 'a.sql')
    writeFileSync(file, result.text)
    const shell = (...lines) => {
      try {
        return execFileSync('sqlite3', [path.join(folder, 'a.db'), ...lines], { encoding: 'utf8' }).trim()
      } catch (error) {
        if (error.code === 'ENOENT') return undefined
        throw error
      }
    }
    if (shell(`.read ${file}`) === undefined) return console.log('sqlite3 is not installed: its half was left out')
    assert.equal(
      shell('PRAGMA integrity_check; SELECT count(*), sum(big) FROM t; SELECT what FROM log'),
      'ok\n2|9223372036854775807',
    )
    assert.equal(
      shell("SELECT s FROM t WHERE id = 1; INSERT INTO t (s) VALUES ('x'); SELECT what FROM log"),
      'it\'s "quoted"; ü 💡\n3',
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('a snapshot is a file to keep, by name, compressed, encrypted, as SQL; and comes back in another database', async () => {
  const result = await inPage(async (name) => {
    const db = await window.open({ name })
    await db.exec("CREATE TABLE t (s TEXT); INSERT INTO t VALUES ('kept'), (hex(zeroblob(100000)))")
    await db.exec("CREATE VIRTUAL TABLE f USING fts5(s); INSERT INTO f VALUES ('find me')")
    const info = await db.snapshots.create()
    await db.exec('DELETE FROM t')
    const encrypt = { passphrase: 'correct horse' }
    const key = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt'])
    const files = []
    for (const options of [
      {},
      { compress: true },
      { encrypt },
      { compress: true, encrypt },
      { encrypt: { key } },
      { format: 'sql' },
      { format: 'sql', compress: true, encrypt },
    ])
      files.push([options, await db.snapshots.export(info.id, options)])
    const unknown = (await window.failure(() => db.snapshots.export('999'))).code
    await db.close()
    const other = await window.open({ name: `${name}-other` })
    await other.exec("CREATE TABLE mine (s); INSERT INTO mine VALUES ('own')")
    const wrong = [
      await window.failure(() => other.snapshots.import(files[2][1])),
      await window.failure(() => other.snapshots.import(files[2][1], { encrypt: { passphrase: 'wrong' } })),
      await window.failure(() => other.snapshots.import(new Blob(['no SQL at all']))),
      await window.failure(() => other.snapshots.import(files[0][1].slice(0, 9000))),
    ].map((failure) => failure.code)
    const none = (await other.snapshots.list()).length
    const out = []
    for (const [options, file] of files) {
      const imported = await other.snapshots.import(file, { encrypt: options.encrypt, label: 'from a file' })
      const { ok } = await other.snapshots.verify(imported.id)
      await other.snapshots.restore(imported.id)
      const { s } = await other.get("SELECT s FROM t WHERE s = 'kept'")
      const { f } = await other.get("SELECT s AS f FROM f WHERE f MATCH 'find'")
      out.push({
        name: file.name.replace(info.createdAt, '<time>').replace(`-${info.id}.`, '-<id>.'),
        smaller: file.size < info.bytes / 2,
        same: imported.sha256 === info.sha256,
        label: imported.label,
        ok,
        s,
        f,
      })
    }
    await other.close()
    const again = await window.open({ name: `${name}-other` })
    const kept = (await again.snapshots.list()).filter(({ label }) => label === 'from a file').length
    await again.close()
    return { out, unknown, wrong, none, kept }
  })
  const expected = (name, smaller, same) => ({
    name: `backup-<time>-<id>${name}`,
    smaller,
    same,
    label: 'from a file',
    ok: true,
    s: 'kept',
    f: 'find me',
  })
  assert.deepEqual(result.out, [
    expected('.sqlite', false, true),
    expected('.sqlite.gz', true, true),
    expected('.sqlite.enc', false, true),
    expected('.sqlite.gz.enc', true, true),
    expected('.sqlite.enc', false, true),
    expected('.sql', false, false),
    expected('.sql.gz.enc', true, false),
  ])
  assert.deepEqual(result.wrong, ['decryption_failed', 'decryption_failed', 'snapshot_corrupt', 'snapshot_corrupt'])
  assert.deepEqual([result.unknown, result.none, result.kept], ['snapshot_not_found', 0, 7])
})

test('an import that is given up before its commit changes nothing', async () => {
  const result = await inPage(async (name) => {
    const file = await window.made("CREATE TABLE t (s TEXT); INSERT INTO t VALUES ('imported')")
    const db = await window.open({ name })
    await db.exec("CREATE TABLE t (s TEXT); INSERT INTO t VALUES ('mine')")
    const controller = new AbortController()
    let importing
    await db.transaction(async (tx) => {
      // It waits for the turn.
      importing = db.import(file, { signal: controller.signal }).catch((reason) => reason)
      await new Promise((resolve) => setTimeout(resolve, 100))
      controller.abort('no more')
      await importing
      await tx.run("INSERT INTO t VALUES ('meanwhile')")
    })
    const reason = await importing
    const late = await window.failure(() => db.import(file, { timeoutMs: 0 }))
    const rows = await db.query('SELECT s FROM t')
    await db.import(file, { timeoutMs: 60_000 })
    const after = await db.query('SELECT s FROM t')
    await db.close()
    return { reason, late: late.code, rows, after }
  })
  assert.deepEqual(result, {
    reason: 'no more',
    late: 'invalid_argument',
    rows: [{ s: 'mine' }, { s: 'meanwhile' }],
    after: [{ s: 'imported' }],
  })
})

test('unpushed changes stop an import unless forced; those of the file stay behind, and changes are captured on', async () => {
  const result = await inPage(async (name) => {
    const remote = { url: 'http://127.0.0.1:9', key: 'anon', tables: ['t'] }
    const db = await window.open({ name, remote })
    await db.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT); INSERT INTO t VALUES (1, 'local')")
    const file = await db.export()
    const refused = (await window.failure(() => db.import(file))).code
    await db.import(file, { force: true })
    const none = (await db.sync.pending()).length
    await db.run("UPDATE t SET s = 'again'")
    const captured = (await db.sync.pending()).map(({ op }) => op)
    await db.close()
    // Without a remote, too: the file knows which tables are captured.
    const plain = await window.open({ name: `${name}-plain`, seed: file })
    const seeded = (await plain.sync.pending()).length
    await plain.run("INSERT INTO t VALUES (2, 'b')")
    const later = (await plain.sync.pending()).map(({ op }) => op)
    await plain.close()
    return { refused, none, captured, seeded, later }
  })
  assert.deepEqual(result, { refused: 'unpushed_changes', none: 0, captured: ['update'], seeded: 0, later: ['insert'] })
})
