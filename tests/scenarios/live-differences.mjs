// Live queries whose results are followed: after a commit only the changed rows are read.
import assert from 'node:assert/strict'

const COUNT = 1000

/** A table of many rows, and a followed query on it: rows that don't change are the same objects in the next result. */
async function ranked(t, sql = 'SELECT id, title, rank FROM tasks ORDER BY rank, id', params = [], options = {}) {
  const db = await t.memory()
  await db.exec(`CREATE TABLE tasks (id INTEGER PRIMARY KEY, title TEXT COLLATE NOCASE, rank REAL, list INTEGER);
    CREATE INDEX ranks ON tasks(rank);
    WITH RECURSIVE k(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM k WHERE i < ${COUNT})
    INSERT INTO tasks SELECT i, 'task ' || i, i * 10, i % 7 FROM k`)
  const live = db.live(sql, params, options)
  const seen = []
  live.subscribe((rows) => seen.push(rows))
  await t.until(() => seen.length === 1)
  const commit = async (...statement) => {
    const before = seen.length
    await db.run(...statement)
    await t.until(() => seen.length > before)
  }
  const kept = () => seen.at(-1).filter((row) => new Set(seen.at(-2)).has(row)).length
  // Until the analysis is loaded, all rows are read.
  await t.until(async () => {
    await commit('UPDATE tasks SET title = ? WHERE id = 1', [`task ${Math.random()}`])
    return live.differenceFrom(seen.at(-2)) !== undefined
  })
  return { db, live, seen, commit, kept }
}

export default {
  'only the rows that a commit changed are new objects, at their places': async (t) => {
    const { db, live, seen, commit, kept } = await ranked(t)
    const query = async () => db.query('SELECT id, title, rank FROM tasks ORDER BY rank, id')
    const history = [
      ["UPDATE tasks SET title = 'changed' WHERE id = 500", [], COUNT - 1],
      ['UPDATE tasks SET rank = 1 WHERE id = 1000', [], COUNT - 1],
      ['UPDATE tasks SET rank = NULL WHERE id = 3', [], COUNT - 1],
      ['DELETE FROM tasks WHERE id IN (5, 6)', [], COUNT - 2],
      ['INSERT INTO tasks VALUES (5, ?, 5000, 1)', ['with "quotes" and ü'], COUNT - 2],
      ['UPDATE tasks SET id = -1 WHERE id = 900', [], COUNT - 2],
      ['UPDATE tasks SET rank = -rank WHERE id < 3', [], COUNT - 4],
    ]
    for (const [sql, params, same] of history) {
      await commit(sql, params)
      assert.deepEqual(seen.at(-1), await query(), sql)
      assert.equal(kept(), same, sql)
      assert.equal(live.total, seen.at(-1).length)
    }
  },

  'of a join and of groups, rows that stay are the same objects': async (t) => {
    const joined = `SELECT l.list, count(*) AS n, max(t.title) AS last FROM tasks AS t JOIN tasks AS l ON l.id = t.id
      GROUP BY l.list`
    const pairs = 'SELECT t.id, t.title, l.rank FROM tasks AS t JOIN tasks AS l ON l.id = t.id'
    const { db, live, seen, commit, kept } = await ranked(t, pairs)
    const history = [
      ["UPDATE tasks SET title = 'changed' WHERE id = 500", [], COUNT - 1],
      ['DELETE FROM tasks WHERE id IN (5, 600)', [], COUNT - 2],
      ['INSERT INTO tasks VALUES (5, ?, 5000, 1)', ['with "quotes" and ü'], COUNT - 2],
      ['UPDATE tasks SET title = upper(title) WHERE id <= 100', [], COUNT - 101],
      ['UPDATE tasks SET title = title || ?', ['!'], 0],
    ]
    for (const [sql, params, same] of history) {
      await commit(sql, params)
      assert.deepEqual(seen.at(-1), await db.query(pairs), sql)
      assert.equal(kept(), same, sql)
      assert.equal(live.total, seen.at(-1).length)
    }
    const groups = db.live(joined)
    const results = []
    groups.subscribe((rows) => results.push(rows))
    await t.until(() => results.length === 1)
    for (const title of ['zz1', 'zz2', 'zz3']) {
      const before = results.length
      await db.run('UPDATE tasks SET title = ? WHERE id = 7', [title])
      await t.until(() => results.length > before)
    }
    assert.deepEqual(results.at(-1), await db.query(joined))
    assert.equal(results.at(-1).filter((row) => results.at(-2).includes(row)).length, 6)
  },

  'the first change after the first result keeps the objects of all other rows': async (t) => {
    const first = async (statement, options = {}) => {
      const db = await t.memory()
      await db.exec(`CREATE TABLE t (id INTEGER PRIMARY KEY, a, b BLOB);
        WITH RECURSIVE k(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM k WHERE i < ${COUNT})
        INSERT INTO t SELECT i, CASE i WHEN 2 THEN NULL ELSE 'x' END, randomblob(8) FROM k`)
      const seen = []
      db.live('SELECT * FROM t ORDER BY id', [], options).subscribe((rows) => seen.push(rows))
      await t.until(() => seen.length === 1)
      await db.run(statement)
      await t.until(() => seen.length === 2)
      assert.deepEqual(seen[1], await db.query('SELECT * FROM t ORDER BY id', [], options))
      const before = new Set(seen[0])
      return seen[1].filter((row) => before.has(row)).length
    }
    assert.equal(await first("UPDATE t SET a = 'y' WHERE id = 3"), COUNT - 1)
    assert.equal(await first("UPDATE t SET a = 'y' WHERE id IN (3, 500, 900)"), COUNT - 3)
    assert.equal(await first('UPDATE t SET b = randomblob(8) WHERE id = 3', { rowMode: 'array' }), COUNT - 1)
    assert.equal(await first('DELETE FROM t WHERE id = 500'), COUNT - 1)
    assert.equal(await first("INSERT INTO t VALUES (0, 'first', NULL)"), COUNT)
    assert.equal(await first("UPDATE t SET a = 'all'"), 0)
  },

  'after a commit of many rows all are read, and then differences again': async (t) => {
    const { db, live, seen, commit, kept } = await ranked(t)
    await commit('UPDATE tasks SET title = upper(title)')
    assert.equal(kept(), 0)
    // The query is followed again when it has run twice.
    await t.until(async () => {
      await commit('UPDATE tasks SET title = ? WHERE id = 7', [String(Math.random())])
      return live.differenceFrom(seen.at(-2)) !== undefined
    })
    assert.equal(kept(), COUNT - 1)
    assert.deepEqual(seen.at(-1), await db.query('SELECT id, title, rank FROM tasks ORDER BY rank, id'))
  },

  'of a window only the rows that come into it, or change, are new objects': async (t) => {
    const sql = 'SELECT id, title, rank FROM tasks ORDER BY rank, id'
    const window = { limit: 10, offset: 100 }
    const { db, live, seen, commit, kept } = await ranked(t, sql, [], window)
    const check = async (what, same) => {
      const { limit, offset } = window
      assert.deepEqual(seen.at(-1), await db.query(`${sql} LIMIT ${limit} OFFSET ${offset}`), what)
      assert.equal(live.total, (await db.get('SELECT count(*) AS n FROM tasks')).n, what)
      assert.equal(kept(), same, what)
    }
    for (const [statement, same] of [
      ["UPDATE tasks SET title = 'changed' WHERE id = 105", 9],
      ["UPDATE tasks SET title = 'changed' WHERE id = 900", 10],
      ['DELETE FROM tasks WHERE id = 7', 9],
      ['INSERT INTO tasks VALUES (5000, NULL, 1, 1), (5001, NULL, 2, 1)', 8],
      ['UPDATE tasks SET rank = 1045 WHERE id = 900', 9],
    ]) {
      await commit(statement)
      await check(statement, same)
    }
    for (const [given, same] of [
      [{ offset: 104 }, 6],
      [{ limit: 3 }, 3],
      [{ offset: 0, limit: 110 }, 3],
      [{ offset: 5000 }, 0],
    ]) {
      await live.setWindow(given)
      await check(JSON.stringify(Object.assign(window, given)), same)
    }
  },

  'an app may change its list of rows': async (t) => {
    const { db, live, seen, commit } = await ranked(t)
    live.rows.reverse()
    seen.at(-1).length = 0
    await commit('UPDATE tasks SET rank = 15 WHERE id = 900')
    assert.deepEqual(seen.at(-1), await db.query('SELECT id, title, rank FROM tasks ORDER BY rank, id'))
  },

  'after VACUUM, which may give rows other rowids, all rows are read': async (t) => {
    const db = await t.memory()
    await db.exec('CREATE TABLE t (name, n)')
    await db.runMany(
      'INSERT INTO t VALUES (?, ?)',
      Array.from({ length: COUNT }, (_, n) => [`row ${n}`, n]),
    )
    await db.run('DELETE FROM t WHERE n % 2 = 0')
    const live = db.live('SELECT name, n FROM t ORDER BY n')
    const seen = []
    live.subscribe((rows) => seen.push(rows))
    await t.until(() => seen.length === 1)
    const commit = async (work) => {
      const before = seen.length
      await work()
      await t.until(() => seen.length > before)
    }
    await t.until(async () => {
      await commit(() => db.run('UPDATE t SET name = ? WHERE n = 1', [String(Math.random())]))
      return live.differenceFrom(seen.at(-2)) !== undefined
    })
    await commit(() => db.exec('VACUUM'))
    await commit(() => db.run('UPDATE t SET n = 5000 WHERE n = 7'))
    assert.deepEqual(seen.at(-1), await db.query('SELECT name, n FROM t ORDER BY n'))
  },

  'with parameters, an alias, collations and expressions': async (t) => {
    const sql =
      'SELECT x.*, upper(title) || :mark AS loud FROM tasks AS x WHERE list IS NOT @list AND rank < :most ORDER BY loud DESC, 1'
    const params = { mark: '!', list: 3, most: 5000 }
    const { db, seen, commit, kept } = await ranked(t, sql, params)
    for (const [statement, values] of [
      ['UPDATE tasks SET title = ? WHERE id = 2', ['TASK 100']],
      ['UPDATE tasks SET list = 3 WHERE id = 8', []],
      ['UPDATE tasks SET list = 4 WHERE id IN (3, 10)', []],
      ['UPDATE tasks SET rank = 4999 WHERE id = 999', []],
    ]) {
      await commit(statement, values)
      assert.deepEqual(seen.at(-1), await db.query(sql, params), statement)
      assert.ok(kept() >= seen.at(-1).length - 2, statement)
    }
  },

  'arrays, big integers and binary values': async (t) => {
    const sql = 'SELECT id, title, list FROM tasks ORDER BY id'
    const { db, seen, commit, kept } = await ranked(t, sql, [], { rowMode: 'array' })
    await commit("UPDATE tasks SET list = 9007199254740993, title = x'00ff' WHERE id = 4")
    assert.equal(kept(), COUNT - 1)
    assert.deepEqual(seen.at(-1)[3], [4, new Uint8Array([0, 255]), 9007199254740993n])
    assert.deepEqual(seen.at(-1), await db.query(sql, [], { rowMode: 'array' }))
  },

  'the difference of changes() is that of the rows': async (t) => {
    const { db, live, commit } = await ranked(t)
    const changes = []
    live.changes({ key: 'id' }).subscribe((change) => changes.push(change))
    await t.until(() => changes.length === 1)
    const last = async (sql) => {
      await commit(sql)
      const { added, updated, removed, moved } = changes.at(-1)
      return {
        added: added.map(({ row, index }) => [row.id, index]),
        updated: updated.map(({ row, previous, index }) => [row.id, previous.rank, row.rank, index]),
        removed: removed.map(({ row, index }) => [row.id, index]),
        moved: moved.map(({ row, from, index }) => [row.id, from, index]),
      }
    }
    assert.deepEqual(await last('UPDATE tasks SET rank = 9005 WHERE id = 100'), {
      added: [],
      updated: [[100, 1000, 9005, 899]],
      removed: [],
      moved: [[100, 99, 899]],
    })
    assert.deepEqual(await last('UPDATE tasks SET rank = 9006 WHERE id = 100'), {
      added: [],
      updated: [[100, 9005, 9006, 899]],
      removed: [],
      moved: [],
    })
    assert.deepEqual(await last('DELETE FROM tasks WHERE id = 1'), {
      added: [],
      updated: [],
      removed: [[1, 0]],
      moved: [],
    })
    assert.equal(live.rows.length, (await db.get('SELECT count(*) AS n FROM tasks')).n)
  },
}
