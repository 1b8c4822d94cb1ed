// The first example of docs/sync.md, unchanged.
import assert from 'node:assert/strict'
import { total, withSchema } from '../run/remote.mjs'

export default {
  'the first example syncs three times, with changes on both sides': async ({ open, remote }) => {
    await remote.sql(`drop table if exists orders, countries cascade;
      create table orders (id int primary key, item text, updated_at timestamptz default clock_timestamp());
      create table countries (code text primary key, name text);
      insert into orders (id, item) select n, 'item ' || n from generate_series(1, 30) n;
      insert into countries values ('PT', 'Portugal'), ('NO', 'Norway')`)
    const db = await open({
      ...withSchema(`CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT, updated_at TEXT);
        CREATE TABLE countries (code TEXT PRIMARY KEY, name TEXT)`),
      remote: remote.options([
        { table: 'orders', cursor: 'updated_at', deleted: 'compare', conflict: 'keep-local' },
        'countries',
      ]),
    })
    await db.sync.run()
    for (const round of [1, 2]) {
      await db.run('UPDATE orders SET item = ? WHERE id = ?', [`changed ${round}`, round])
      await remote.sql(
        `delete from orders where id = ${10 + round}; update countries set name = 'round ${round}' where code = 'NO'`,
      )
      await db.sync.run()
      assert.deepEqual(await db.get('SELECT count(*) AS n FROM orders'), { n: 30 - round })
      assert.deepEqual(await db.get("SELECT name FROM countries WHERE code = 'NO'"), { name: `round ${round}` })
      assert.deepEqual(await remote.sql(`select item from orders where id = ${round}`), [{ item: `changed ${round}` }])
    }
    assert.equal(total(await db.sync.pull(), 'inserted'), 0)
  },
}
