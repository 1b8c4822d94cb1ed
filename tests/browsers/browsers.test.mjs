// What holds in Chromium holds in Firefox and in WebKit, where locks, IndexedDB, workers and streams are others' work.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { unpack } from '../e2e/harness.mjs'
import { serve } from '../e2e/serve.mjs'
import { startRemote } from '../remote/index.mjs'
import { OtherBrowser } from './drivers.mjs'

const page = (module) => `<!doctype html>
<html lang="en">
  <meta charset="utf-8">
  <title>A page under test</title>
  <script type="module">
    import * as tidelock from '/tidelock/${path.posix.normalize(module)}'
    window.tidelock = tidelock
    window.warnings = []
    window.open = (options) => tidelock.open({ onWarning: (warning) => window.warnings.push(warning.code), ...options })
    // The code and the details of a failure; or { resolved }.
    window.failure = async (promise) => {
      try {
        return { resolved: await promise }
      } catch (error) {
        return tidelock.isTidelockError(error) ? { code: error.code, details: error.details } : { notOurs: String(error) }
      }
    }
    window.drive = async (source, args) => {
      try {
        return JSON.stringify({ value: await new Function('return (' + source + ')')()(...JSON.parse(args)) })
      } catch (error) {
        return JSON.stringify({ error: error + ' ' + error?.stack })
      }
    }
    window.ready = true
  </script>
</html>`

const folder = mkdtempSync(path.join(tmpdir(), 'tidelock-browsers-'))
let server, remote
// Rows that were written to the remote: each has an id of its own.
let notes = 0

before(async () => {
  const module = unpack(folder)
  server = await serve({
    folders: { '/tidelock/': path.join(folder, 'package') },
    files: { '/index.html': page(module) },
  })
  remote = await startRemote({
    seed: `create table lines (id bigint primary key, price numeric, updated_at timestamptz not null default now());
      insert into lines select n, n + 0.1234567890123456789, now() from generate_series(1, 2500) as n;
      create table notes (id bigint primary key, body text)`,
  })
})
after(async () => {
  await remote?.stop()
  await server?.close()
  rmSync(folder, { recursive: true, force: true })
})

for (const name of ['firefox', 'webkit']) {
  describe(name, () => {
    const browser = new OtherBrowser(name)
    before(() => browser.start())
    after(() => browser.dispose())

    for (const thread of ['current', 'worker']) {
      const database = `${name}-${thread}`

      test(`what was written is there after a reload, and what is asked for comes back exactly (${thread})`, async () => {
        await browser.load(server.url)
        const written = await browser.run(
          async (name, thread) => {
            const up = 'CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b REAL, c BLOB)'
            const db = await open({ name, thread, migrations: [{ version: '1', name: 'schema', up }] })
            window.db = db
            const rows = Array.from({ length: 5000 }, (_, i) => [`Zeile ä ${i} 𝄞`, i / 7, new Uint8Array([i % 256])])
            await db.runMany('INSERT INTO t (a, b, c) VALUES (?, ?, ?)', rows)
            await db.run('INSERT INTO t (id, a) VALUES (?, ?)', [2n ** 53n, null])
            const counts = []
            const live = db.live('SELECT count(*) AS n FROM t')
            live.subscribe(([{ n }]) => counts.push(n))
            await db.transaction(async (tx) => tx.run("INSERT INTO t (id, a) VALUES (6000, 'x')"))
            const thrown = await failure(
              db.transaction(async (tx) => {
                await tx.run('DELETE FROM t')
                throw new Error('back')
              }),
            )
            while (counts.at(-1) !== 5002) await new Promise((resolve) => setTimeout(resolve, 5))
            live.close()
            await db.exec("CREATE VIRTUAL TABLE f USING fts5 (x); INSERT INTO f VALUES ('hello world')")
            let walked = 0
            for await (const { id } of db.iterate('SELECT id FROM t')) walked += typeof id === 'bigint' ? 0 : 1
            return {
              thrown: thrown.notOurs,
              walked,
              row: await db.get('SELECT a, b, hex(c) AS c FROM t WHERE id = 4'),
              big: String((await db.get('SELECT max(id) AS id FROM t')).id),
              found: await db.query("SELECT x FROM f('hello')"),
              json: await db.get(`SELECT json_extract('{"a":5}', '$.a') AS v`),
              unique: (await failure(db.run('INSERT INTO t (id) VALUES (1)'))).code,
              status: (await db.health()).status,
            }
          },
          database,
          thread,
        )
        assert.deepEqual(written, {
          thrown: 'Error: back',
          walked: 5001,
          row: { a: 'Zeile ä 3 𝄞', b: 3 / 7, c: '03' },
          big: `${2n ** 53n}`,
          found: [{ x: 'hello world' }],
          json: { v: 5 },
          unique: 'sqlite_constraint',
          status: 'ok',
        })
        await browser.load(server.url)
        const again = await browser.run(
          async (name, thread) => {
            const db = await open({ name, thread })
            const rows = await db.get('SELECT count(*) AS n FROM t')
            const found = await db.query("SELECT x FROM f('world')")
            await db.close()
            return { rows, found, warnings }
          },
          database,
          thread,
        )
        assert.deepEqual(again, { rows: { n: 5002 }, found: [{ x: 'hello world' }], warnings: [] })
      })

      test(`snapshots, moments, files and encryption (${thread})`, async () => {
        await browser.load(server.url)
        const result = await browser.run(
          async (name, thread) => {
            const encryption = { passphrase: 'a secret' }
            let db = await open({ name, thread, encryption })
            await db.exec('CREATE TABLE t (a); INSERT INTO t VALUES (1)')
            const count = async () => (await db.get('SELECT count(*) AS n FROM t')).n
            const snapshot = await db.snapshots.create({ label: 'first' })
            await db.run('INSERT INTO t VALUES (2)')
            const at = new Date()
            await new Promise((resolve) => setTimeout(resolve, 30))
            await db.run('DELETE FROM t')
            await db.snapshots.restore({ at })
            const moment = await count()
            await db.snapshots.restore(snapshot.id)
            const restored = await count()
            const file = await db.snapshots.export(snapshot.id, { compress: true })
            await db.run('DELETE FROM t')
            await db.snapshots.restore((await db.snapshots.import(file)).id)
            const imported = await count()
            const verified = await db.snapshots.verify(snapshot.id)
            await db.close()
            const wrong = await failure(open({ name, thread, encryption: { passphrase: 'another' } }))
            db = await open({ name, thread, encryption })
            const reopened = await count()
            await db.close()
            await tidelock.deleteDatabase(name)
            const left = (await tidelock.databases()).filter((one) => one.name === name)
            return { moment, restored, imported, verified, wrong: wrong.code, reopened, left, warnings }
          },
          `${database}-kept`,
          thread,
        )
        assert.deepEqual(result, {
          moment: 2,
          restored: 1,
          imported: 1,
          verified: { ok: true, errors: [] },
          wrong: 'decryption_failed',
          reopened: 1,
          left: [],
          warnings: [],
        })
      })

      test(`tabs: refused, waiting, taken over, stolen (${thread})`, async () => {
        await browser.load(server.url)
        const lock = `${database}-lock`
        const openHere = (options) =>
          browser.run(
            async (name, thread, options) => {
              window.db = await open({ name, thread, ...options })
              await db.exec('CREATE TABLE IF NOT EXISTS t (a)')
              await db.run('INSERT INTO t VALUES (1)')
              return (await db.get('SELECT count(*) AS n FROM t')).n
            },
            lock,
            thread,
            options,
          )
        const write = () => browser.run(() => failure(db.run('INSERT INTO t VALUES (1)')))
        assert.equal(await openHere({}), 1)
        const first = await browser.tab
        const second = await browser.show()
        await browser.load(server.url)
        const refused = await browser.run((name, thread) => failure(open({ name, thread })), lock, thread)
        assert.equal(refused.code, 'database_in_use')
        assert.equal(refused.details.holder.title, 'A page under test')
        assert.equal(await openHere({ lock: { onBusy: 'takeover' } }), 2)
        await browser.show(first)
        assert.equal((await write()).code, 'closed')
        assert.equal(await openHere({ lock: { onBusy: 'steal' } }), 3)
        await browser.show(second)
        assert.equal((await write()).code, 'lock_lost')
        await browser.run(
          (name, thread) => {
            window.waiting = open({ name, thread, lock: { onBusy: 'wait' } })
          },
          lock,
          thread,
        )
        await browser.show(first)
        assert.equal((await write()).resolved.changes, 1)
        await browser.closeTab()
        await browser.show(second)
        const waited = await browser.run(async () => {
          const db = await window.waiting
          const { n } = await db.get('SELECT count(*) AS n FROM t')
          await db.close()
          return n
        })
        assert.equal(waited, 4)
      })

      test(`a remote is pulled, followed and written (${thread})`, async () => {
        await browser.load(server.url)
        const name = `${database}-sync`
        const note = ++notes
        const synced = await browser.run(
          async (name, thread, note, remote) => {
            const up = `CREATE TABLE lines (id INTEGER PRIMARY KEY, price NUMERIC TEXT, updated_at TEXT);
              CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)`
            const db = await open({ name, thread, migrations: [{ version: '1', name: 'schema', up }], remote })
            await db.run('INSERT INTO notes VALUES (?, ?)', [note, name])
            const first = await db.sync.pull()
            const second = await db.sync.pull()
            const pushed = await db.sync.push()
            const lines = await db.get('SELECT count(*) AS n, max(price) AS price FROM lines WHERE id <= 9')
            const { n } = await db.get('SELECT count(*) AS n FROM lines')
            await db.close()
            const of = (report, table) => report.tables.find((one) => one.table === table).inserted
            return { n, lines, first: of(first, 'lines'), second: of(second, 'lines'), pushed: of(pushed, 'notes') }
          },
          name,
          thread,
          note,
          {
            url: remote.url,
            key: remote.anonKey,
            tables: [{ table: 'lines', cursor: 'updated_at', direction: 'pull' }, 'notes'],
          },
        )
        const price = '9.1234567890123456789'
        assert.deepEqual(synced, { n: 2500, lines: { n: 9, price }, first: 2500, second: 0, pushed: 1 })
        assert.equal((await remote.sql(`select body from notes where id = ${note}`))[0].body, name)
      })
    }

    // WebKit keeps nothing beyond a session that a driver began.
    if (name === 'firefox') {
      test('a browser that is killed in the midst of writes loses nothing that was acknowledged', async () => {
        await browser.load(server.url)
        const before = await browser.run(async () => {
          window.db = await open({ name: 'killed' })
          await db.exec('CREATE TABLE t (a INTEGER)')
          window.acknowledged = 0
          const write = async () => {
            for (let a = 1; ; a++) {
              await db.run('INSERT INTO t VALUES (?)', [a])
              window.acknowledged = a
            }
          }
          write()
          while (window.acknowledged < 200) await new Promise((resolve) => setTimeout(resolve, 1))
          return window.acknowledged
        })
        process.kill(await browser.pid(), 'SIGKILL')
        await browser.forget()
        await browser.start()
        await browser.load(server.url)
        const after = await browser.run(async () => {
          const db = await open({ name: 'killed' })
          const { n, most } = await db.get('SELECT count(*) AS n, max(a) AS most FROM t')
          await db.close()
          return { n, most, warnings }
        })
        assert.ok(after.n >= before, `${before} writes were acknowledged, ${after.n} are there`)
        assert.deepEqual(after, { n: after.n, most: after.n, warnings: [] })
      })
    }

    test('everything that tidelock needs is there', async () => {
      await browser.load(server.url)
      const missing = await browser.run(async () => (await tidelock.doctor()).checks.filter(({ ok }) => !ok))
      assert.deepEqual(missing, [])
    })
  })
}
