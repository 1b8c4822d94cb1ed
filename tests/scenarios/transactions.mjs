// Transactions and batches: whole or not at all, one at a time.
import assert from 'node:assert/strict'

/** Opens a database in memory with a table `t`, and a function that reads its ids. */
async function table(memory) {
  const db = await memory()
  await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY)')
  return { db, ids: async () => (await db.query('SELECT id FROM t ORDER BY id')).map(({ id }) => id) }
}

/** Calls that need the database for themselves, by name. */
async function replacing(db) {
  const [bytes, { id }] = [await db.export(), await db.snapshots.create()]
  return {
    'export as SQL': () => db.export({ format: 'sql' }),
    maintain: () => db.maintain(),
    import: () => db.import(bytes),
    rekey: () => db.rekey({ passphrase: 'correct horse battery staple' }),
    restore: () => db.snapshots.restore(id),
    'restore a time': () => db.snapshots.restore({ at: new Date() }),
    status: () => db.migrations.status(),
    migrate: () => db.migrations.run(),
    drift: () => db.migrations.drift(),
    reset: () => db.migrations.reset({ force: true }),
    generate: () => db.migrations.generate('CREATE TABLE u (a)'),
    sync: () => db.migrations.sync('CREATE TABLE u (a)'),
    drop: () => db.migrations.drop({ force: true }),
    forget: () => db.migrations.forget('1'),
  }
}

const endless = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n'

const endlessRows = 'WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n'

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** Calls that wait for the next result of a live query, by name. */
function waitingLive(db) {
  const live = () => db.live('SELECT id FROM t', [], { limit: 2 })
  const first = (results) => results[Symbol.asyncIterator]().next()
  return {
    refresh: () => live().refresh(),
    setWindow: () => live().setWindow({ offset: 1 }),
    'results of a live query': () => first(live()),
    'changes of a live query': () => first(live().changes({ key: 'id' })),
  }
}

async function refusedLater(t) {
  const { db } = await table(t.memory)
  const live = db.live('SELECT id FROM t')
  const insert = 'INSERT INTO t VALUES (1)'
  const helper = async (ms) => {
    await pause(ms)
    return db.query('SELECT 1')
  }
  const works = {
    'after a statement': async (tx) => {
      await tx.run(insert)
      await db.query('SELECT 1')
    },
    'in a function that it awaits': async (tx) => {
      await tx.run(insert)
      await helper(1)
    },
    'at once, in a function that it awaits': async (tx) => {
      await tx.run(insert)
      await (async () => db.run(insert))()
    },
    'in one of several': async () => {
      await Promise.all([helper(1), helper(2)])
    },
    'in a reaction': (tx) => tx.run(insert).then(() => db.query('SELECT 1')),
    'long after it was made': async (tx) => {
      await tx.run(insert)
      const later = db.query('SELECT 1')
      await pause(20)
      await tx.run('INSERT INTO t VALUES (2)')
      await later
    },
    'a transaction': async (tx) => {
      await tx.query('SELECT 1')
      await db.transaction(async () => {})
    },
    'a transaction that is begun': async (tx) => {
      await tx.query('SELECT 1')
      await db.begin()
    },
    'the reading of a live query, after it was asked for': async (tx) => {
      await tx.run(insert)
      const later = live.refresh()
      await tx.query('SELECT 1')
      await later
    },
    ...Object.fromEntries(
      Object.entries({ ...(await replacing(db)), ...waitingLive(db) }).map(([name, call]) => [
        name,
        async (tx) => {
          await tx.run(insert)
          await call()
        },
      ]),
    ),
    'in a savepoint': (tx) =>
      tx.transaction(async (inner) => {
        await inner.query('SELECT 1')
        await db.run('DELETE FROM t')
      }),
    'on the outer transaction': (tx) =>
      tx.transaction(async (inner) => {
        await inner.run(insert)
        await tx.run(insert)
      }),
    'on the outermost transaction, for a nested one': (tx) =>
      tx.transaction((inner) =>
        inner.transaction(async (innermost) => {
          await innermost.query('SELECT 1', [], { timeoutMs: 10_000 })
          const later = tx.transaction(() => {})
          await innermost.query('SELECT 1')
          await later
        }),
      ),
  }
  // Twice, after some time: then calls let other tasks run.
  for (const [name, work] of Object.entries(works).flatMap((entry) => [entry, entry])) {
    for (const end = performance.now() + 20; performance.now() < end; );
    const { code, message } = await t.failure(db.transaction(work))
    assert.equal(code, 'invalid_argument', name)
    assert.match(message, /use (its own )?tx/, name)
  }
  assert.deepEqual(await db.query('SELECT id FROM t'), [])
}

export default {
  'a call that takes longer than timeoutMs has changed nothing, and the next one works': async (t) => {
    const db = await t.open()
    await db.exec('CREATE TABLE t (call INTEGER, b BLOB)')
    const literal = `x'${'ab'.repeat(100_000)}'`
    const large = new Uint8Array(1_000_000)
    const calls = [
      (n, options) =>
        db.exec(`BEGIN; INSERT INTO t VALUES (${n}, ${literal}); INSERT INTO t VALUES (${n}, 1); COMMIT`, options),
      (n, options) => db.exec(`INSERT INTO t VALUES (${n}, ${literal}); INSERT INTO t VALUES (${n}, 1)`, options),
      (n, options) => db.run('INSERT INTO t VALUES (?, ?)', [n, large], options),
      (n, options) => db.query('INSERT INTO t VALUES (?, ?) RETURNING call', [n, large], options),
      (n, options) => db.runMany('INSERT INTO t VALUES (?, ?)', Array(200).fill([n, 'x']), options),
      (n, options) => db.transaction((tx) => tx.run('INSERT INTO t VALUES (?, ?)', [n, large], options)),
    ]
    const done = []
    // Each call with each limit.
    for (let n = 0; n < 30; n++) {
      try {
        await calls[n % calls.length](n, { timeoutMs: 1 + (n % 5) })
        done.push({ call: n })
      } catch (error) {
        assert.equal(error.code, 'timeout')
      }
    }
    await db.batch([{ sql: 'DELETE FROM t WHERE call < 0' }])
    assert.deepEqual(await db.query('SELECT DISTINCT call FROM t ORDER BY call'), done)
  },

  'runMany and batch are one transaction each': async ({ memory, failure }) => {
    const { db, ids } = await table(memory)
    const many = await failure(db.runMany('INSERT INTO t VALUES (?)', [[1], [2], [1]]))
    assert.equal(many.code, 'sqlite_constraint')
    assert.equal(many.details.sqliteCode, 'SQLITE_CONSTRAINT_PRIMARYKEY')
    assert.deepEqual(await ids(), [])
    const batch = await db.batch([
      { sql: 'INSERT INTO t VALUES (?)', params: [7] },
      { sql: 'SELECT * FROM t' },
      { sql: 'SELECT :a AS a', params: { a: 'x' } },
    ])
    assert.deepEqual(batch, [[], [{ id: 7 }], [{ a: 'x' }]])
    const failed = await failure(db.batch([{ sql: 'INSERT INTO t VALUES (8)' }, { sql: 'INSERT INTO t VALUES (7)' }]))
    assert.equal(failed.code, 'sqlite_constraint')
    assert.deepEqual(await ids(), [7])
  },

  'a transaction commits on return, rolls back on throw, and passes the error through': async ({ memory, failure }) => {
    const { db, ids } = await table(memory)
    const returned = await db.transaction(async (tx) => {
      await tx.run('INSERT INTO t VALUES (1)')
      await tx.runMany('INSERT INTO t VALUES (?)', [[2], [3]])
      return tx.get('SELECT count(*) AS n FROM t')
    })
    assert.deepEqual(returned, { n: 3 })
    const mine = new RangeError('mine')
    const thrown = await db
      .transaction(async (tx) => {
        await tx.run('INSERT INTO t VALUES (4)')
        throw mine
      })
      .catch((error) => error)
    assert.equal(thrown, mine)
    const sql = await failure(
      db.transaction(async (tx) => {
        await tx.run('INSERT INTO t VALUES (5)')
        await tx.run('INSERT INTO t VALUES (1)')
      }),
    )
    assert.equal(sql.code, 'sqlite_constraint')
    assert.deepEqual(await ids(), [1, 2, 3])
    // A failed statement that its caller catches undoes only itself.
    await db.transaction(async (tx) => {
      await tx.run('INSERT INTO t VALUES (6)')
      await tx.run('INSERT INTO t VALUES (1)').catch(() => {})
    })
    assert.deepEqual(await ids(), [1, 2, 3, 6])
  },

  'after an error with which SQLite rolled the transaction back, nothing of it is stored': async ({
    memory,
    failure,
  }) => {
    const { db, ids } = await table(memory)
    await db.exec(`
      CREATE TRIGGER stops BEFORE INSERT ON t WHEN new.id = 13 BEGIN SELECT raise(ROLLBACK, 'unlucky'); END;
      CREATE TABLE u (id INTEGER PRIMARY KEY, a UNIQUE);
      INSERT INTO u VALUES (1, 1), (2, 2), (3, 3)`)
    const numbers = (count) => Array.from({ length: count }, (_, id) => [id])
    const insert = 'INSERT INTO t VALUES (?)'
    const again = 'INSERT OR ROLLBACK INTO t VALUES (? % 50)'
    const calls = {
      'run, rows changed before': (tx) => tx.run('UPDATE OR ROLLBACK u SET a = iif(id = 3, -1, -a)'),
      'run, a trigger': (tx) => tx.run(insert, [13]),
      'runMany, a trigger': (tx) => tx.runMany(insert, numbers(100)),
      'runMany of many, a trigger': (tx) => tx.runMany(insert, numbers(30_000)),
      'runMany of many, OR ROLLBACK': (tx) => tx.runMany(again, numbers(30_000)),
      'run, timeoutMs': (tx) => tx.run(`INSERT INTO t ${endlessRows}`, [], { timeoutMs: 10 }),
      batch: (tx) =>
        tx.batch([
          { sql: insert, params: [5] },
          { sql: insert, params: [13] },
          { sql: insert, params: [6] },
        ]),
      exec: (tx) => tx.exec('INSERT INTO t VALUES (5), (6); INSERT INTO t VALUES (7), (13)'),
      query: (tx) => tx.query('INSERT INTO t VALUES (12), (13), (14) RETURNING id'),
    }
    const next = 'INSERT INTO t VALUES (-2)'
    for (const [name, call] of Object.entries(calls)) {
      assert.match((await failure(call(db))).code, /sqlite_constraint|timeout/, name)
      assert.deepEqual(await ids(), [], name)
      const works = {
        caught: async (tx) => {
          await failure(call(tx))
          assert.equal((await failure(tx.run(next))).code, 'transaction_closed', name)
          assert.equal((await failure(tx.runMany(insert, [[-3]]))).code, 'transaction_closed', name)
        },
        'caught in a savepoint': async (tx) => {
          await tx.transaction((inner) => call(inner)).catch(() => {})
          assert.equal((await failure(tx.run(next))).code, 'transaction_closed', name)
        },
        'not awaited': async (tx) => {
          const calls = [call(tx), tx.run(next), tx.runMany(insert, numbers(3000))]
          for (const { status } of await Promise.allSettled(calls)) assert.equal(status, 'rejected', name)
        },
      }
      for (const [how, work] of Object.entries(works)) {
        const ended = failure(
          db.transaction(async (tx) => {
            await tx.run('INSERT INTO t VALUES (-1)')
            await work(tx)
          }),
        )
        assert.match((await ended).code, /transaction_closed|sqlite_constraint|timeout/, `${name}, ${how}`)
        assert.deepEqual(await ids(), [], `${name}, ${how}`)
      }
    }
    assert.equal((await db.get('SELECT sum(a) AS a FROM u')).a, 6)
  },

  'timeoutMs ends a call of many short statements or rows': async ({ memory }) => {
    const { db } = await table(memory)
    const rows = Array.from({ length: 60_000 }, (_, id) => [id])
    const calls = {
      runMany: (options) => db.runMany('INSERT INTO t VALUES (?)', rows, options),
      batch: (options) =>
        db.batch(
          rows.map((params) => ({ sql: 'INSERT INTO t VALUES (?)', params })),
          options,
        ),
    }
    for (const [name, call] of Object.entries(calls)) {
      // Which statement of the batch it is depends on the machine.
      const { code, message } = await call({ timeoutMs: 10 }).catch((error) => error)
      assert.equal(code, 'timeout', name)
      assert.match(message, /\(10 ms\)/, name)
      assert.deepEqual(await db.query('SELECT * FROM t LIMIT 1'), [], name)
    }
  },

  'nested transactions are savepoints; calls outside wait; a transaction that ended is closed': async (t) => {
    const { db, ids } = await table(t.memory)
    const order = []
    let outside
    let kept
    await db.transaction(async (tx) => {
      kept = tx
      await tx.run('INSERT INTO t VALUES (1)')
      outside = ids().then((seen) => order.push(['outside', ...seen]))
      await tx.transaction(async (inner) => {
        await inner.run('INSERT INTO t VALUES (2)')
        const deepest = inner.transaction(async (deepest) => {
          await deepest.run('INSERT INTO t VALUES (3)')
          throw new Error('back')
        })
        assert.equal((await t.failure(deepest)).notOurs, 'Error: back')
      })
      const second = tx.transaction(async (inner) => {
        await inner.run('INSERT INTO t VALUES (4)')
        throw new Error('back')
      })
      assert.equal((await t.failure(second)).notOurs, 'Error: back')
      order.push(['inside', ...(await tx.query('SELECT id FROM t')).map(({ id }) => id)])
    })
    await outside
    assert.deepEqual(order, [
      ['inside', 1, 2],
      ['outside', 1, 2],
    ])
    assert.equal((await t.failure(kept.run('INSERT INTO t VALUES (9)'))).code, 'transaction_closed')
    assert.deepEqual(await ids(), [1, 2])
  },

  'a call on the database in the function of a transaction, a deadlock, is refused at once': async (t) => {
    const { db, ids } = await table(t.memory)
    const insert = 'INSERT INTO t VALUES (1)'
    const calls = {
      query: () => db.query(insert),
      run: () => db.run(insert, [], { timeoutMs: 10_000 }),
      runMany: () => db.runMany('INSERT INTO t VALUES (?)', [[1]]),
      batch: () => db.batch([{ sql: insert }]),
      exec: () => db.exec(insert),
      sql: () => db.sql`INSERT INTO t VALUES (${1})`,
      iterate: () => db.iterate('SELECT * FROM t')[Symbol.asyncIterator]().next(),
      explain: () => db.explain(insert),
      close: () => db.close(),
      begin: () => db.begin(),
      transaction: () => db.transaction((tx) => tx.run(insert)),
      'a savepoint': (tx) => tx.transaction(async () => db.run(insert)),
      ...(await replacing(db)),
      ...waitingLive(db),
    }
    for (const [name, call] of Object.entries(calls)) {
      const { code, message } = await t.failure(db.transaction(async (tx) => await call(tx)))
      assert.equal(code, 'invalid_argument', name)
      assert.match(message, /use tx/, name)
    }
    const outer = (work) => t.failure(db.transaction((tx) => tx.transaction(async (inner) => await work(tx, inner))))
    for (const work of [(tx) => tx.run(insert), (tx) => tx.exec(insert), (tx) => tx.transaction(() => {})]) {
      const { code, message } = await outer(work)
      assert.equal(code, 'invalid_argument')
      assert.match(message, /outer transaction .* use its own tx/)
    }
    // Calls that only look like it: calls of others, which wait, and calls that need no connection.
    await db.transaction(async (tx) => {
      const nested = tx.transaction(async (inner) => {
        await inner.query('SELECT 1')
        setTimeout(() => tx.query('SELECT 1'))
        await pause(30)
      })
      assert.deepEqual(await tx.query('SELECT id FROM t'), [])
      await nested
    })
    const { status } = await db.transaction(async () => db.health())
    assert.notEqual(status, 'failed')
    const tx = await db.begin()
    const outside = db.run(insert)
    await tx.commit()
    await outside
    assert.deepEqual(await ids(), [1])
  },

  'such a call is refused when the function awaits it later, too, where JavaScript tells': async (t) => {
    // V8 shows what awaits what. In other engines the call would wait for ever.
    if (!new Error('V8').stack.startsWith('Error: V8')) return
    await refusedLater(t)
  },

  'live queries of others wait for the end of a transaction, and go on': async ({ memory, until }) => {
    const { db } = await table(memory)
    const seen = []
    const live = db.live('SELECT id FROM t')
    live.subscribe((rows) => seen.push(rows.length))
    await until(() => seen.length === 1)
    const loop = (async () => {
      const lengths = []
      for await (const rows of live) if (lengths.push(rows.length) === 2) return lengths
    })()
    let refreshed
    await db.transaction(async (tx) => {
      await tx.run('INSERT INTO t VALUES (1)')
      setTimeout(() => {
        refreshed = live.refresh()
      })
      await pause(30)
      assert.deepEqual(seen, [0])
    })
    assert.deepEqual(await refreshed, [{ id: 1 }])
    assert.deepEqual(await loop, [0, 1])
    await until(() => seen.at(-1) === 1)
  },

  'timeoutMs of a transaction ends the statement that runs in it, and nothing is committed after it': async (t) => {
    const { db, ids } = await table(t.memory)
    const insert = 'INSERT INTO t DEFAULT VALUES'
    const long = { timeoutMs: 60_000 }
    const busy = (ms) => {
      for (const end = performance.now() + ms; performance.now() < end; );
    }
    const works = {
      'a statement': (tx) => tx.query(endless),
      'a statement with a longer limit': (tx) => tx.get(endless, [], long),
      'a batch': (tx) => tx.batch([{ sql: insert }, { sql: endless }]),
      'a script': (tx) => tx.exec(`${insert}; ${endless}`),
      'a savepoint': (tx) => tx.transaction((inner) => inner.query(endless)),
      'a savepoint with a longer limit': (tx) => tx.transaction((inner) => inner.query(endless), long),
      'an error that is caught': (tx) => tx.query(endless).catch(() => {}),
      'an error that is caught in a savepoint': (tx) => tx.transaction((inner) => inner.query(endless).catch(() => {})),
      'a function that blocks': () => busy(110),
      'a savepoint that blocks': (tx) => tx.transaction(() => busy(110)).catch(() => {}),
      'short statements': async (tx) => {
        for (;;) await tx.run(insert)
      },
    }
    for (const [name, work] of Object.entries(works)) {
      const started = performance.now()
      const run = async (tx) => {
        await tx.run(insert)
        await work(tx)
      }
      const { code, message, details } = await t.failure(db.transaction(run, { timeoutMs: 100 }))
      assert.equal(code, 'timeout', name)
      assert.match(message, /exceeded timeoutMs \(100 ms\)/, name)
      assert.equal(details.timeoutMs, 100, name)
      assert.ok(performance.now() - started < 5000, name)
      assert.deepEqual(await ids(), [], name)
    }
    // The smaller limit counts, and its error is named by it.
    const short = await t.failure(db.transaction((tx) => tx.query(endless, [], { timeoutMs: 20 }), long))
    assert.match(short.message, /\(20 ms\)/)
    const inner = (tx) => tx.transaction((nested) => nested.query(endless), { timeoutMs: 30 })
    assert.match((await t.failure(db.transaction(inner, long))).message, /\(30 ms\)/)
    // That of `begin` concerns the beginning only. On a busy machine this may take longer.
    const begun = await t.until(() => db.begin({ timeoutMs: 20 }).catch(({ code }) => assert.equal(code, 'timeout')))
    busy(25)
    await begun.run(insert)
    await begun.commit()
    assert.deepEqual(await ids(), [1])
  },

  'a loop of calls in a transaction lets timers run, and an abort end it': async ({ memory }) => {
    const { db, ids } = await table(memory)
    const insert = 'INSERT INTO t VALUES (NULL)'
    const calls = {
      run: (tx) => tx.run(insert),
      'run with options': (tx) => tx.run(insert, [], { timeoutMs: 60_000 }),
      runMany: (tx) => tx.runMany('INSERT INTO t VALUES (?)', Array(50).fill([null])),
      batch: (tx) => tx.batch([{ sql: insert }]),
      exec: (tx) => tx.exec(insert),
      transaction: (tx) => tx.transaction((inner) => inner.run(insert)),
    }
    for (const [name, call] of Object.entries(calls)) {
      const stop = new AbortController()
      setTimeout(() => stop.abort(new Error('enough')), 1)
      let made = 0
      const loop = async (tx) => {
        while (made++ < 1_000_000) await call(tx)
      }
      const { message } = await db.transaction(loop, { signal: stop.signal }).catch((error) => error)
      assert.equal(message, 'enough', name)
      assert.ok(made < 1_000_000, name)
      assert.deepEqual(await ids(), [], name)
    }
  },

  'calls of others wait for the end of a transaction, however they come about': async (t) => {
    const { db, ids } = await table(t.memory)
    const seen = []
    const look = async () => seen.push(await ids())
    const component = new EventTarget()
    component.addEventListener('change', look)
    let goOn = () => {}
    const turn = new Promise((resolve) => {
      goOn = resolve
    })
    const before = turn.then(look)
    let unawaited
    await db.transaction(async (tx) => {
      await tx.run('INSERT INTO t VALUES (1)')
      // A listener that runs inside the function; another component that goes on; a timer; a call that isn't awaited in here.
      component.dispatchEvent(new Event('change'))
      goOn()
      setTimeout(look)
      unawaited = (async () => {
        await tx.query('SELECT 1')
        await look()
      })()
      look()
      await pause(30)
      await tx.run('INSERT INTO t VALUES (2)')
    })
    await Promise.all([before, unawaited])
    await t.until(() => seen.length === 5)
    assert.deepEqual(new Set(seen.map(String)), new Set(['1,2']))
    assert.deepEqual(t.warnings, [])
  },

  'a transaction that was begun is committed, rolled back, or ended by closing': async ({ open, failure }) => {
    let db = await open()
    await db.exec('CREATE TABLE t (a)')
    const count = async (on = db) => (await on.get('SELECT count(*) AS n FROM t')).n
    const first = await db.begin()
    await first.run('INSERT INTO t VALUES (1)')
    const outside = count()
    await first.transaction((inner) => inner.run('INSERT INTO t VALUES (2)'))
    await first.commit()
    assert.equal(await outside, 2)
    const second = await db.begin({ mode: 'immediate' })
    await second.run('DELETE FROM t')
    assert.equal(await count(second), 0)
    await second.rollback()
    assert.equal(await count(), 2)
    const left = await db.begin()
    await left.run('DELETE FROM t')
    await db.close()
    const ended = [
      () => second.run('DELETE FROM t'),
      () => first.commit(),
      () => second.rollback(),
      () => left.get('x'),
    ]
    for (const call of ended) assert.equal((await failure(call)).code, 'transaction_closed')
    db = await open({ name: db.name })
    assert.equal(await count(), 2)
  },

  'a script leaves foreign keys enforced where they were': async ({ memory, failure }) => {
    const db = await memory()
    await db.exec('CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p REFERENCES p)')
    const enforced = async () => (await db.get('PRAGMA foreign_keys')).foreign_keys
    const script = (end) => `PRAGMA foreign_keys = OFF; BEGIN; INSERT INTO c VALUES (7); ${end}`
    for (const end of ['SELECT nothing; COMMIT; PRAGMA foreign_keys = ON', 'COMMIT; SELECT nothing', 'COMMIT; BEGIN']) {
      assert.ok((await failure(db.exec(script(end)))).code, end)
      assert.equal(await enforced(), 1, end)
    }
    await db.exec(script('COMMIT'))
    assert.equal(await enforced(), 1, 'a dump of the shell of SQLite')
    await db.run('PRAGMA foreign_keys = OFF')
    await db.exec(script('COMMIT'))
    assert.equal(await enforced(), 0)
    await failure(db.exec('BEGIN; COMMIT; PRAGMA foreign_keys = ON; SELECT nothing'))
    assert.equal(await enforced(), 0)
    assert.match((await failure(db.exec('PRAGMA foreign_keys = ON'))).hint, /db\.run/)
    await db.run('PRAGMA foreign_keys = ON')
    assert.equal(await enforced(), 1)
  },

  'statements that would bypass the engine are refused with a hint': async ({ memory, failure }) => {
    const db = await memory()
    const begin = (on) => on.query('BEGIN')
    for (const call of [
      begin,
      (on) => on.run("ATTACH ':memory:' AS other"),
      (on) => on.batch([{ sql: 'PRAGMA journal_mode = WAL' }]),
      (on) => on.exec('PRAGMA synchronous = 2'),
      (on) => on.transaction(begin),
      (on) => on.transaction((tx) => tx.query('PRAGMA foreign_keys = off')),
    ]) {
      const { code, hint } = await failure(call(db))
      assert.equal(code, 'invalid_argument', String(call))
      assert.ok(hint, String(call))
    }
    assert.deepEqual(await db.query('PRAGMA foreign_keys'), [{ foreign_keys: 1 }])
    assert.deepEqual(await db.query('PRAGMA recursive_triggers'), [{ recursive_triggers: 1 }])
    await db.query('PRAGMA user_version = 7')
    assert.deepEqual(await db.query('PRAGMA user_version'), [{ user_version: 7 }])
  },
}
