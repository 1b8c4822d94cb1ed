// Live queries.
import assert from 'node:assert/strict'

export default {
  'liveQueries shows the queries that have readers, with their runs': async ({ memory, until }) => {
    const db = await memory()
    await db.exec('CREATE TABLE t (n)')
    assert.deepEqual(db.liveQueries, [])
    const live = db.live('SELECT n FROM t WHERE n > ?', [0])
    const stop = live.subscribe(() => {})
    await until(() => db.liveQueries[0]?.rows === 0)
    const [{ runs }] = db.liveQueries
    await db.run('INSERT INTO t VALUES (1)')
    await until(() => db.liveQueries[0].rows === 1)
    const [shown] = db.liveQueries
    assert.deepEqual([shown.sql, shown.readers, shown.error], ['SELECT n FROM t WHERE n > ?', 1, undefined])
    assert.ok(shown.runs > runs && shown.lastMs >= 0 && shown.totalMs >= shown.lastMs && Date.parse(shown.lastAt) > 0)
    stop()
    await until(() => db.liveQueries.length === 0)
  },

  'a live query follows its own tables only, once per commit': async ({ memory, until, failure }) => {
    const db = await memory()
    await db.exec('CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (id INTEGER PRIMARY KEY)')
    const seen = { a: [], b: [] }
    const follow = (table) => {
      const live = db.live(`SELECT count(*) AS n FROM ${table}`)
      return { live, stop: live.subscribe(([{ n }]) => seen[table].push(n)) }
    }
    const { live, stop } = follow('a')
    follow('b')
    // When `b` has a result of this commit, `a` would have one, too.
    const heard = (n) => until(() => seen.b.at(-1) === n)
    await until(() => seen.a.length === 1)
    await db.transaction(async (tx) => {
      await tx.run('INSERT INTO a VALUES (1)')
      await tx.run('INSERT INTO a VALUES (2)')
    })
    await until(() => seen.a.length === 2)
    await db.run('INSERT INTO b VALUES (1)')
    await heard(1)
    await failure(
      db.transaction(async (tx) => {
        await tx.run('INSERT INTO a VALUES (3)')
        throw new Error('back')
      }),
    )
    await db.run('INSERT INTO b VALUES (2)')
    await heard(2)
    assert.deepEqual(live.rows, [{ n: 2 }])
    assert.deepEqual(seen, { a: [0, 2], b: [0, 1, 2] })
    stop()
    await db.run('INSERT INTO a VALUES (4)')
    await db.run('INSERT INTO b VALUES (3)')
    await heard(3)
    assert.deepEqual(seen.a, [0, 2])
  },

  'CREATE with IF NOT EXISTS of what exists changes nothing': async ({ memory, until }) => {
    // The triggers of the audit log are dropped and created again around each change of the schema.
    const migrations = [{ version: '1', name: 't', up: 'CREATE TABLE t (id INTEGER PRIMARY KEY, n)' }]
    const db = await memory({ migrations, audit: { tables: ['t'] } })
    const schema = `CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, n);
      CREATE VIEW IF NOT EXISTS v AS SELECT n FROM t; CREATE INDEX IF NOT EXISTS i ON t (n);
      CREATE TRIGGER IF NOT EXISTS g AFTER DELETE ON t BEGIN SELECT 1; END;
      CREATE VIRTUAL TABLE IF NOT EXISTS f USING fts5(n);
      CREATE TABLE IF NOT EXISTS copy AS SELECT * FROM t`
    await db.exec(schema)
    const version = () => db.get('PRAGMA schema_version')
    const before = await version()
    const results = []
    db.live('SELECT n FROM v').subscribe((rows) => results.push(rows.length))
    await until(() => results.length === 1)
    const changes = []
    db.addEventListener('change', ({ detail }) => changes.push([detail.all, ...detail.tables]))
    const one = schema.split(/;\s+(?=CREATE)/)
    assert.equal(one.length, 6)
    await db.exec(schema)
    for (const sql of one) await db.run(sql)
    await db.transaction(async (tx) => {
      for (const sql of one) await tx.run(sql)
    })
    assert.deepEqual(await version(), before)
    const [{ runs }] = db.liveQueries
    assert.equal(runs, 1)
    assert.deepEqual(changes, [])
    await db.run('INSERT INTO t (n) VALUES (1)')
    await until(() => results.length === 2)
    assert.deepEqual(changes.at(-1)?.includes('t'), true)
    // What doesn't exist is created, by the same statements, and audited.
    await db.exec('DROP TABLE t; DROP TABLE copy; DROP VIEW v')
    for (const sql of one) await db.run(sql)
    await db.run('INSERT INTO t (n) VALUES (2)')
    assert.deepEqual(await db.get('SELECT (SELECT n FROM v) AS v, (SELECT count(*) FROM copy) AS copies'), {
      v: 2,
      copies: 0,
    })
    assert.deepEqual(await db.query('SELECT new_values FROM audit_log ORDER BY id DESC LIMIT 1'), [
      { new_values: '{"id":1,"n":2}' },
    ])
    for (const sql of ['DROP TABLE IF EXISTS t', 'DROP TABLE IF EXISTS t', one[0], 'DROP TABLE IF EXISTS t', one[0]])
      await db.run(sql)
    await db.run('INSERT INTO t (n) VALUES (3)')
    assert.deepEqual(await db.get('SELECT count(*) AS n FROM audit_log'), { n: 3 })
    assert.ok(changes.some(([all]) => all))
  },

  'a live query follows a temporary table or view that takes the place of its table': async ({ memory, until }) => {
    const db = await memory()
    await db.exec("CREATE TABLE p (id INTEGER PRIMARY KEY, x); INSERT INTO p VALUES (1, 'main')")
    const queries = ['SELECT * FROM p', 'SELECT count(*) AS n FROM p', 'SELECT * FROM p ORDER BY id LIMIT 1']
    const seen = queries.map(() => undefined)
    queries.forEach((sql, at) => {
      db.live(sql).subscribe((rows) => {
        seen[at] = rows
      })
    })
    for (const sql of [
      'SELECT 1',
      'CREATE TEMP TABLE p (id INTEGER PRIMARY KEY, x)',
      "INSERT INTO p VALUES (7, 'temp')",
      "INSERT INTO main.p VALUES (8, 'main too')",
      'DROP TABLE temp.p',
      "CREATE TEMP VIEW p AS SELECT 5 AS id, 'view' AS x",
      'DROP VIEW temp.p',
    ]) {
      await db.run(sql)
      const expected = JSON.stringify(await Promise.all(queries.map((query) => db.query(query))))
      await until(() => JSON.stringify(seen) === expected)
    }
  },

  'what a failed statement keeps is a commit: OR FAIL, RAISE(FAIL)': async ({ memory, until, failure }) => {
    const schema = `CREATE TABLE t (id INTEGER PRIMARY KEY, n INT UNIQUE); INSERT INTO t VALUES (1, 10), (2, 20);
      CREATE TABLE r (v);
      CREATE TRIGGER rt AFTER INSERT ON r WHEN new.v = 'bad' BEGIN SELECT RAISE(FAIL, 'no'); END`
    const writes = {
      'INSERT OR FAIL INTO t (n) VALUES (30), (10)': 't',
      'UPDATE OR FAIL t SET n = 11': 't',
      "INSERT INTO r VALUES ('ok'), ('bad')": 'r',
    }
    for (const [sql, table] of Object.entries(writes)) {
      for (const inTransaction of [false, true]) {
        const db = await memory()
        await db.exec(schema)
        const query = `SELECT * FROM ${table} ORDER BY 1`
        const live = db.live(query)
        let seen
        live.subscribe((rows) => {
          seen = rows
        })
        const before = await live.refresh()
        const events = []
        db.addEventListener('change', ({ detail }) => events.push(...detail.tables))
        if (inTransaction) await db.transaction(async (tx) => void (await failure(tx.run(sql))))
        else assert.equal((await failure(db.run(sql))).code, 'sqlite_constraint', sql)
        const rows = await db.query(query)
        assert.notDeepEqual(rows, before, sql)
        await until(() => JSON.stringify(seen) === JSON.stringify(rows))
        assert.ok(events.includes(table), sql)
        await db.close()
      }
    }
  },

  'a transaction whose only write failed and kept rows is stored': {
    only: ['node'],
    because: 'it opens a copy of the folder while the database is open',
    run: async ({ open, options, failure, freshName }) => {
      const given = options()
      const db = await open(given)
      await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, n INT UNIQUE); INSERT INTO t VALUES (1, 10)')
      await db.transaction(async (tx) => void (await failure(tx.run('INSERT OR FAIL INTO t VALUES (2, 20), (3, 10)'))))
      const { cp } = await import('node:fs/promises')
      const path = `${given.path}-${freshName()}`
      await cp(given.path, path, { recursive: true, filter: (file) => !file.startsWith(`${given.path}/lock`) })
      const copy = await open({ name: given.name, path })
      assert.deepEqual(await copy.query('SELECT id FROM t'), [{ id: 1 }, { id: 2 }])
    },
  },

  'a query runs once its tables exist': async ({ memory, until }) => {
    for (const script of [
      'CREATE TABLE later (n); INSERT INTO later VALUES (1)',
      'CREATE VIEW later AS SELECT 1 AS n',
      'ALTER TABLE earlier RENAME TO later',
    ]) {
      const db = await memory()
      await db.exec('CREATE TABLE earlier (n); INSERT INTO earlier VALUES (1)')
      const errors = []
      let rows
      db.live('SELECT n FROM later').subscribe(
        (found) => {
          rows = found
        },
        (error) => errors.push(error.code),
      )
      await until(() => errors.length > 0)
      await db.run('INSERT INTO earlier VALUES (2)')
      await db.run('DELETE FROM earlier WHERE n = 2')
      await db.exec(script)
      await until(() => JSON.stringify(rows) === '[{"n":1}]')
      assert.deepEqual(errors, ['sqlite_error'], 'it fails once')
      await db.close()
    }
  },

  'a query that writes is refused': async ({ memory, until, failure }) => {
    const db = await memory()
    await db.exec('CREATE TABLE t (n); INSERT INTO t VALUES (1)')
    for (const sql of ['UPDATE t SET n = n + 1 RETURNING n', 'DELETE FROM t', 'PRAGMA user_version = 2']) {
      const live = db.live(sql)
      assert.equal((await failure(live.refresh())).code, 'invalid_argument', sql)
      live.close()
    }
    assert.deepEqual(await db.query('SELECT n FROM t'), [{ n: 1 }])
    const errors = []
    db.live('INSERT INTO later VALUES (1)').subscribe(assert.fail, (error) => errors.push(error.code))
    await until(() => errors.length > 0)
    await db.exec('CREATE TABLE later (n)')
    assert.deepEqual(await db.query('SELECT n FROM later'), [])
  },

  'a commit runs only the queries whose result it can change': async ({ memory, until, tidelock }) => {
    const db = await memory()
    await db.exec(`CREATE TABLE tasks (id INTEGER PRIMARY KEY, list TEXT COLLATE NOCASE, title TEXT, rank REAL);
      CREATE TABLE others (n);
      INSERT INTO tasks VALUES (1, 'home', 'a', 1), (2, 'work', 'b', 2)`)
    const { sql } = tidelock
    const ran = []
    const follow = async (name, live) => {
      live.subscribe(() => ran.push(name))
      await until(() => ran.includes(name))
    }
    await follow('1', db.live('SELECT * FROM tasks WHERE id = ?', [1]))
    await follow('2', db.live('SELECT * FROM tasks WHERE id = :id', { id: 2 }))
    await follow('home', db.live(sql`SELECT title FROM tasks WHERE list = ${'HOME'} ORDER BY rank`))
    await follow('window', db.live('SELECT id FROM tasks WHERE rank > ?', ['1.5'], { limit: 1 }))
    await follow('all', db.live('SELECT count(*) AS n FROM tasks'))
    const marker = db.live('SELECT count(*) AS n FROM others')
    await marker.refresh()
    const after = async (script, ...expected) => {
      ran.length = 0
      await db.exec(script)
      await until(() => ran.length >= expected.length)
      // A query that reads another table runs after all that the commit before has started.
      const before = marker.rows[0].n
      await db.run('INSERT INTO others VALUES (1)')
      await until(() => marker.rows[0].n > before)
      return ran.sort()
    }
    const check = async (script, ...expected) => assert.deepEqual(await after(script, ...expected), expected, script)
    // Until the analysis is loaded, a commit runs all queries of its tables.
    await until(async () => (await after('UPDATE tasks SET title = title')).length === 0)
    await check("UPDATE tasks SET title = 'c' WHERE id = 2", '2')
    await check("UPDATE tasks SET title = 'c' WHERE id = 1", '1', 'home')
    await check('UPDATE tasks SET rank = 0 WHERE id = 2', '2', 'window')
    await check("INSERT INTO tasks VALUES (3, 'Home', 'd', 0)", 'all', 'home')
    await check("UPDATE tasks SET id = 4, title = 'e' WHERE id = 2", '2', 'all')
    await check('UPDATE tasks SET title = title')
    await check('DELETE FROM tasks', '1', 'all', 'home')
    await check('CREATE TABLE v (n)', '1', '2', 'all', 'home', 'window')
  },

  'a loop over a live query gets each result': async ({ memory, until }) => {
    const db = await memory()
    await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (4)')
    const seen = []
    const reading = (async () => {
      for await (const [{ n }] of db.live('SELECT max(id) AS n FROM t')) if (seen.push(n) === 2) break
    })()
    await until(() => seen.length === 1)
    await db.run('INSERT INTO t VALUES (50)')
    await reading
    assert.deepEqual(seen, [4, 50])
  },

  'the error of a live query goes to its subscriber': async ({ memory, failure }) => {
    const db = await memory()
    const failed = new Promise((rows, error) => db.live('SELECT * FROM nowhere').subscribe(rows, error))
    assert.equal((await failure(failed)).code, 'sqlite_error')
  },

  'a subscriber whose result writes to what the query reads leaves time to timers': async ({ memory }) => {
    const db = await memory()
    await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, n); INSERT INTO t VALUES (1, 0)')
    const live = db.live('SELECT n FROM t WHERE id = 1')
    const last = 3000
    let ticks = 0
    const timer = setInterval(() => ticks++, 1)
    const ticksAtEnd = await new Promise((resolve) => {
      live.subscribe(([{ n }]) => {
        if (n === last || ticks >= 3) resolve(ticks)
        else void db.run('UPDATE t SET n = n + 1 WHERE id = 1')
      })
    })
    clearInterval(timer)
    live.close()
    assert.ok(ticksAtEnd >= 3)
  },
}
