// Live queries over rows that the sync writes: its pulls, pushes and conflicts are commits as others are.
import assert from 'node:assert/strict'
import { caughtUp, chance, follow } from '../run/followed.mjs'
import { withSchema } from '../run/remote.mjs'

const schema = `CREATE TABLE live_lists (id INTEGER PRIMARY KEY, name TEXT, updated_at TEXT);
  CREATE TABLE live_tasks (id INTEGER PRIMARY KEY, list_id INTEGER REFERENCES live_lists ON DELETE CASCADE, title TEXT,
    updated_at TEXT);
  CREATE TRIGGER counting AFTER INSERT ON live_tasks BEGIN INSERT INTO counts VALUES (NEW.id); END;
  CREATE TABLE counts (n)`

const queries = [
  ['SELECT * FROM live_lists ORDER BY name, id', 'id'],
  ['SELECT id, title FROM live_tasks WHERE list_id = 2 ORDER BY title DESC, id', 'id'],
  ["SELECT id, list_id FROM live_tasks WHERE title < 't5' ORDER BY id", 'id'],
  ['SELECT t.id, name, title FROM live_tasks t JOIN live_lists l ON l.id = list_id ORDER BY name, t.id', 'id'],
  ['SELECT list_id, count(*) AS n FROM live_tasks GROUP BY list_id ORDER BY list_id', 'list_id'],
  ['SELECT count(*) AS n FROM counts', 'n'],
]

export default {
  'differences give what the query returns after pulls, pushes and conflicts': async (t) => {
    const { remote } = t
    await remote.table(
      'live_lists',
      'id bigint primary key, name text, updated_at timestamptz default now()',
      "(0, 'a'), (1, 'b'), (2, 'c'), (3, 'd')",
    )
    await remote.table(
      'live_tasks',
      'id bigint primary key, list_id bigint, title text, updated_at timestamptz default now()',
    )
    const tables = ['live_lists', 'live_tasks'].map((table) => ({
      table,
      cursor: 'updated_at',
      deleted: 'compare',
      conflict: 'remote-wins',
    }))
    const db = await t.memory({ ...withSchema(schema), remote: remote.options(tables) })
    const random = chance(17)
    const { below, of } = random
    const all = [...queries, ...queries].map((query) => follow(db, random, query))
    const there = (sql) => remote.sql(sql)
    for (let step = 0; step < 40; step++) {
      const [list, task] = [below(4), below(12)]
      const title = `t${below(9)}`
      await there(
        of([
          `insert into live_lists values (${list}, 'l${below(5)}') on conflict (id) do update set name = excluded.name, updated_at = now()`,
          `insert into live_tasks select n, ${list}, '${title}' from generate_series(${task}, ${task} + ${of([1, 1, 80])}) n
            on conflict (id) do update set title = excluded.title, updated_at = now()`,
          `update live_tasks set list_id = ${list}, updated_at = now() where id = ${task}`,
          `delete from live_tasks where id between ${task} and ${task + of([2, 8])}`,
          `delete from live_lists where id = ${list}`,
        ]),
      )
      if (below(2) === 0)
        await db.exec(
          of([
            `INSERT INTO live_tasks(id, title) VALUES (${100 + task}, '${title}') ON CONFLICT DO UPDATE SET title = excluded.title`,
            `UPDATE live_tasks SET title = '${title}' WHERE id = ${task}`,
            `DELETE FROM live_tasks WHERE id = ${task}`,
            `UPDATE live_lists SET name = 'here' WHERE id = ${list}`,
          ]),
        )
      await of([() => db.sync.pull(), () => db.sync.run(), () => db.sync.pull({ full: true })])()
      for (const one of all) await caughtUp(t, db, one, `step ${step}`)
    }
    const differences = all.reduce((sum, one) => sum + one.differences, 0)
    assert.ok(differences > 100, String(differences))
  },
}
