// timeoutMs and signal: of every call that waits for a transaction, for a function, for a remote, or for its own SQL.
import assert from 'node:assert/strict'

const long = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000000) SELECT max(i) FROM n'
const forever = () => new Promise(() => {})
/** The error of a call, or `waits` if it doesn't end. */
const ended = (t, call) => {
  // A call that ignores its limits never ends here.
  const never = new Promise((resolve) => setTimeout(resolve, 5000, { code: 'waits' }))
  return Promise.race([t.failure(call), never])
}

/** A remote that never answers. */
const silent = {
  url: 'https://silent.example',
  key: 'key',
  tables: [{ table: 'notes' }],
  fetch: forever,
}

/** The calls that wait for the end of an open transaction, by their names. */
const waiting = {
  query: (db, limits) => db.query('SELECT 1', [], limits),
  get: (db, limits) => db.get('SELECT 1', [], limits),
  run: (db, limits) => db.run('DELETE FROM notes', [], limits),
  runMany: (db, limits) => db.runMany('INSERT INTO notes VALUES (?, 1)', [[7]], limits),
  batch: (db, limits) => db.batch([{ sql: 'DELETE FROM notes' }], limits),
  exec: (db, limits) => db.exec('DELETE FROM notes', limits),
  transaction: (db, limits) => db.transaction((tx) => tx.run('DELETE FROM notes'), limits),
  begin: (db, limits) => db.begin(limits),
  iterate: async (db, limits) => {
    for await (const row of db.iterate('SELECT * FROM notes', [], limits)) return row
  },
  explain: (db, limits) => db.explain('SELECT 1', [], limits),
  live: async (db, limits) => {
    const live = db.live('SELECT * FROM notes', [], limits)
    await live.refresh().finally(() => live.close())
  },
  export: (db, limits) => db.export({ format: 'sql', ...limits }),
  import: (db, limits, { bytes }) => db.import(bytes, { force: true, ...limits }),
  maintain: (db, limits) => db.maintain(limits),
  rekey: (db, limits) => db.rekey({ passphrase: 'other' }, limits),
  rotateKey: (db, limits) => db.rotateKey(limits),
  'migrations.status': (db, limits) => db.migrations.status(limits),
  'migrations.run': (db, limits) => db.migrations.run(limits),
  'migrations.revert': (db, limits) => db.migrations.revert(limits),
  'migrations.redo': (db, limits) => db.migrations.redo(limits),
  'migrations.reset': (db, limits) => db.migrations.reset({ force: true, ...limits }),
  'migrations.drop': (db, limits) => db.migrations.drop({ force: true, ...limits }),
  'migrations.baseline': (db, limits) => db.migrations.baseline('3', limits),
  'migrations.forget': (db, limits) => db.migrations.forget('2', limits),
  'migrations.drift': (db, limits) => db.migrations.drift(limits),
  'migrations.generate': (db, limits) => db.migrations.generate('CREATE TABLE other (n)', limits),
  'migrations.sync': (db, limits) => db.migrations.sync('CREATE TABLE other (n)', limits),
  'snapshots.restore': (db, limits, { id }) => db.snapshots.restore(id, { force: true, ...limits }),
  'sync.pull': (db, limits) => db.sync.pull(limits),
  'sync.push': (db, limits) => db.sync.push(limits),
  'sync.run': (db, limits) => db.sync.run(limits),
  'sync.pending': (db, limits) => db.sync.pending(limits),
  'sync.rejected': (db, limits) => db.sync.rejected(limits),
  'sync.conflicts': (db, limits) => db.sync.conflicts(limits),
  'sync.status': (db, limits) => db.sync.status(limits),
  'sync.enqueue': (db, limits) => db.sync.enqueue('notes', limits),
  'sync.retry': (db, limits, { change }) => db.sync.retry(change, limits),
  'sync.discard': (db, limits, { change }) => db.sync.discard(change, limits),
}

/** Those that don't: they take no options, or read and write what no transaction holds. */
const others = {
  db: ['addEventListener', 'removeEventListener', 'close', 'flush', 'health', 'persist', 'sql'],
  'db.migrations': ['lint'],
  'db.snapshots': ['create', 'delete', 'export', 'history', 'import', 'list', 'prune', 'status', 'verify'],
  'db.sync': ['start', 'stop'],
}

/** What the data of a database is, for the user. */
async function contents(db) {
  return {
    schema: await db.query("SELECT sql FROM sqlite_schema WHERE name NOT LIKE 'tidelock%' ORDER BY name"),
    notes: await db.query('SELECT * FROM notes'),
    history: await db.query('SELECT version, applied_at FROM schema_migrations'),
    pending: await db.sync.pending(),
    rejected: await db.sync.rejected(),
  }
}

const notes = 'CREATE TABLE notes (id INTEGER PRIMARY KEY, body)'

/** Opens a database whose migration 2 is a function that awaits `awaits(function)`, and a snapshot and a file that lack it. */
async function withFunction(t) {
  let work = () => {}
  const two = async (tx) => {
    await tx.exec('CREATE TABLE two (n)')
    await work(tx)
  }
  const migrations = [
    { version: '1', name: 'notes', up: notes },
    { version: '2', name: 'two', up: two, down: 'DROP TABLE two' },
  ]
  const older = await t.open({ migrations, migrate: false, remote: silent })
  await older.migrations.run({ to: '1' })
  const { id } = await older.snapshots.create({ label: 'older' })
  const bytes = await older.export()
  await older.close()
  const db = await t.open({ name: older.name, migrations, remote: silent })
  await db.run("INSERT INTO notes VALUES (1, 'kept')")
  const awaits = (given) => {
    work = given
  }
  return { db, id, bytes, awaits }
}

export default {
  'every call with options ends by timeoutMs and by signal while a transaction is open, and has changed nothing':
    async (t) => {
      const migrations = ['notes (id INTEGER PRIMARY KEY, body)', 'two (n)', 'three (n)'].map((table, at) => ({
        version: `${at + 1}`,
        name: 'm',
        up: `CREATE TABLE ${table}`,
        down: `DROP TABLE ${table.split(' ')[0]}`,
      }))
      const encryption = { passphrase: 'secret' }
      const db = await t.open({ migrations, migrate: false, remote: silent, encryption })
      const methods = Object.entries(others).flatMap(([path, names]) => {
        const object = path
          .split('.')
          .slice(1)
          .reduce((value, name) => value[name], db)
        const prefix = path === 'db' ? '' : `${path.slice('db.'.length)}.`
        const prototype = Object.getPrototypeOf(object)
        return Object.entries(Object.getOwnPropertyDescriptors(prototype))
          .filter(([name, { value }]) => typeof value === 'function' && name !== 'constructor' && !names.includes(name))
          .map(([name]) => prefix + name)
      })
      const internal = ['Symbol(Symbol.asyncDispose)', 'migrations.replayBy', 'sync.handleEvent', 'sync.renewed']
      const unlisted = methods.filter((name) => !(name in waiting) && !internal.includes(name))
      assert.deepEqual(unlisted, [], 'each call is in one of the two lists')

      await db.migrations.run({ to: '2' })
      await db.run("INSERT INTO notes VALUES (1, 'kept')")
      const [{ id: change }] = await db.sync.pending()
      const given = { id: (await db.snapshots.create()).id, bytes: await db.export(), change }
      const before = await contents(db)
      const tx = await db.begin()
      await tx.run("INSERT INTO notes VALUES (2, 'of the transaction')")
      const stops = Object.keys(waiting).map(() => new AbortController())
      const limited = (limits) =>
        Object.entries(waiting).map(async ([name, call], at) => [name, await ended(t, call(db, limits(at), given))])
      const timedOut = limited(() => ({ timeoutMs: 50 }))
      const aborted = limited((at) => ({ signal: stops[at].signal }))
      const ignoring = async (calls, isEnd) =>
        (await Promise.all(calls)).filter(([, error]) => !isEnd(error)).map(([name]) => name)
      assert.deepEqual(await ignoring(timedOut, ({ code }) => code === 'timeout'), [], 'these ignore timeoutMs')
      for (const stop of stops) stop.abort(new Error('enough'))
      assert.deepEqual(
        await ignoring(aborted, ({ notOurs }) => notOurs === 'Error: enough'),
        [],
        'these ignore their signal',
      )
      await tx.rollback()
      assert.deepEqual(await contents(db), before)
      await db.close()
      const again = await t.open({ name: db.name, migrations, migrate: false, remote: silent, encryption })
      assert.deepEqual(await contents(again), before, 'with the secret of before')
    },

  'a migration function that never ends doesn’t hold the call beyond its limits, and the old data stays': async (t) => {
    const { db, id, bytes, awaits } = await withFunction(t)
    const before = await contents(db)
    const calls = {
      reset: (limits) => db.migrations.reset({ force: true, ...limits }),
      restore: (limits) => db.snapshots.restore(id, { force: true, ...limits }),
      import: (limits) => db.import(bytes, { force: true, ...limits }),
      drift: (limits) => db.migrations.drift(limits),
      redo: (limits) => db.migrations.redo(limits),
    }
    for (const [name, call] of Object.entries(calls)) {
      for (const work of [forever, (tx) => tx.query(long)]) {
        awaits(work)
        const { code, details } = await ended(t, call({ timeoutMs: 100 }))
        assert.deepEqual([code, details?.timeoutMs], ['timeout', 100], name)
        if (name === 'redo') {
          assert.equal((await db.migrations.status())[1].state, 'pending', 'it stays reverted')
          awaits(() => {})
          await db.migrations.run()
        } else assert.deepEqual(await contents(db), before, name)
      }
      awaits(forever)
      const stop = new AbortController()
      const aborted = ended(t, call({ signal: stop.signal }))
      stop.abort(new Error('enough'))
      assert.equal((await aborted).notOurs, 'Error: enough', name)
    }
    awaits(() => {})
    await db.migrations.run()
    assert.deepEqual((await db.query('SELECT body FROM notes')).length, 1)
    await db.run("INSERT INTO notes VALUES (3, 'captured')")
    assert.equal((await db.sync.pending()).length, 2)
    await db.close()
  },

  'the SQL of generate, drift, sync and reset ends with timeoutMs': async (t) => {
    const slow = `CREATE TABLE IF NOT EXISTS made AS ${long}`
    const db = await t.memory({ migrations: [{ version: '1', name: 'made', up: slow }], migrate: false })
    await db.exec('CREATE TABLE made (n)')
    await db.migrations.run()
    const calls = {
      generate: (limits) => db.migrations.generate(slow, limits),
      sync: (limits) => db.migrations.sync(slow, limits),
      drift: (limits) => db.migrations.drift(limits),
      reset: (limits) => db.migrations.reset({ force: true, ...limits }),
    }
    for (const [name, call] of Object.entries(calls)) {
      const { code, details } = await ended(t, call({ timeoutMs: 100 }))
      assert.deepEqual([code, details?.timeoutMs], ['timeout', 100], name)
    }
    assert.deepEqual(await db.query("SELECT name FROM sqlite_schema WHERE name = 'made'"), [{ name: 'made' }])
  },

  'enqueue and discard end with timeoutMs while the remote doesn’t answer': async (t) => {
    const db = await t.open({ remote: silent, migrations: [{ version: '1', name: 'notes', up: notes }] })
    await db.run("INSERT INTO notes VALUES (1, 'kept')")
    const before = await contents(db)
    const [{ id }] = before.pending
    for (const call of [(limits) => db.sync.enqueue('notes', limits), (limits) => db.sync.discard(id, limits)]) {
      assert.equal((await ended(t, call({ timeoutMs: 50 }))).code, 'timeout')
      const stop = new AbortController()
      const aborted = ended(t, call({ signal: stop.signal }))
      stop.abort(new Error('enough'))
      assert.equal((await aborted).notOurs, 'Error: enough')
    }
    assert.deepEqual(await contents(db), before)
  },
}
