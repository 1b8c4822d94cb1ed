// Writes that a real PostgreSQL finishes after the client has stopped waiting for the answer.
import assert from 'node:assert/strict'
import { withSchema } from '../run/remote.mjs'

/** Opens a database with one table whose writes take 1.5 s on the server when the name is 'slow'. */
async function open(memory, remote, conflict) {
  const table = remote.tableName()
  const columns = 'id bigint primary key, name text, updated_at timestamptz not null default clock_timestamp()'
  await remote.table(table, columns, "(1, 'first')")
  await remote.sql(`create function ${table}_slow() returns trigger language plpgsql as
    $$ begin perform pg_sleep(1.5); return new; end $$`)
  await remote.sql(`create trigger slow before insert or update on ${table} for each row when (new.name = 'slow')
    execute function ${table}_slow()`)
  await remote.sql(`create trigger stamp before update on ${table} for each row execute function touch()`)
  const options = remote.options([{ table, cursor: 'updated_at', conflict }])
  const db = await memory({
    ...withSchema(`CREATE TABLE ${table} (id INTEGER PRIMARY KEY, name TEXT, updated_at TEXT)`),
    remote: options,
  })
  await db.sync.pull()
  return { db, table }
}

/** Returns whether a write is on its way in the server: its transaction holds this lock until others see what it wrote. */
async function isWriting(remote, table) {
  const sql = `select from pg_locks where relation = '${table}'::regclass and mode = 'RowExclusiveLock' and granted`
  return (await remote.sql(sql)).length > 0
}

/** Pushes, and cancels that once the server is executing the slow write. */
async function pushAndCancel(db, remote, table, until) {
  const controller = new AbortController()
  const pushed = db.sync.push({ signal: controller.signal }).catch((error) => error)
  await until(() => isWriting(remote, table))
  controller.abort(new Error('cancelled'))
  assert.equal((await pushed).message, 'cancelled')
}

/** Returns the names in the server's table. */
async function names(remote, table) {
  return (await remote.sql(`select name from ${table} order by id`)).map(({ name }) => name)
}

export default {
  'a new row that the server stores after it was deleted here is deleted there, too': async ({
    memory,
    remote,
    until,
  }) => {
    const { db, table } = await open(memory, remote, 'keep-local')
    await db.run(`INSERT INTO ${table} (id, name) VALUES (2, 'slow')`)
    await pushAndCancel(db, remote, table, until)
    await db.run(`DELETE FROM ${table} WHERE id = 2`)
    await db.sync.push()
    assert.deepEqual(await db.sync.pending(), [])
    await until(async () => !(await isWriting(remote, table)))
    await db.sync.pull()
    await db.sync.run()
    assert.deepEqual(await names(remote, table), ['first'])
    assert.deepEqual(await db.query(`SELECT name FROM ${table}`), [{ name: 'first' }])
  },

  'an update that arrives late is no conflict, whatever the policy': async ({ memory, remote, until }) => {
    for (const policy of ['keep-local', 'remote-wins', 'last-write-wins']) {
      const { db, table } = await open(memory, remote, policy)
      await db.run(`UPDATE ${table} SET name = 'slow'`)
      await pushAndCancel(db, remote, table, until)
      await db.run(`UPDATE ${table} SET name = 'last'`)
      // Waits on the server for the first write.
      await db.sync.push()
      await db.sync.run()
      assert.deepEqual(await names(remote, table), ['last'], policy)
      assert.deepEqual(await db.query(`SELECT name FROM ${table}`), [{ name: 'last' }], policy)
      assert.deepEqual(await db.sync.conflicts(), [], policy)
    }
  },

  'what was edited since is sent, though the server has altered values of the write without an answer': async ({
    memory,
    remote,
    until,
  }) => {
    const table = remote.tableName()
    const columns = `id int primary key, name text, body text, kept text, seen timestamptz, length interval,
      updated_at timestamptz not null default clock_timestamp()`
    await remote.table(table, columns)
    await remote.sql(
      `create function ${table}_alter() returns trigger language plpgsql as $$ begin
         if new.name = 'first' then perform pg_sleep(0.5); end if;
         new.body := new.body || '!'; new.seen := now(); new.updated_at := clock_timestamp();
         if tg_op = 'UPDATE' then new.kept := old.kept; end if;
         return new;
       end $$`,
    )
    await remote.sql(`create trigger alter_row before insert or update on ${table}
      for each row execute function ${table}_alter()`)
    const schema = withSchema(`CREATE TABLE ${table}
      (id INTEGER PRIMARY KEY, name TEXT, body TEXT, kept TEXT, seen TEXT, length TEXT, updated_at TEXT)`)
    for (const cursor of ['updated_at', undefined])
      for (const conflict of cursor ? ['keep-local', 'remote-wins', 'last-write-wins'] : ['keep-local', 'remote-wins'])
        for (const isNew of [true, false]) {
          const what = `${conflict}, cursor ${cursor}, new ${isNew}`
          await remote.sql(`truncate ${table}`)
          if (!isNew) await remote.sql(`insert into ${table} (id, name, kept) values (1, 'old', 'old')`)
          const db = await memory({ ...schema, remote: remote.options([{ table, cursor, conflict }]) })
          await db.sync.pull()
          if (isNew) await db.exec(`INSERT INTO ${table} (id) VALUES (1)`)
          await db.exec(`UPDATE ${table} SET name = 'first', body = 'text', kept = 'mine'`)
          // Without a cursor, at least half of the values have to come back as they were sent.
          if (cursor) await db.exec(`UPDATE ${table} SET seen = '2026-01-02T03:04:05Z', length = 'PT90M'`)
          await pushAndCancel(db, remote, table, until)
          await until(async () => !(await isWriting(remote, table)))
          assert.deepEqual(await names(remote, table), ['first'], what)
          await db.exec(`UPDATE ${table} SET name = 'second'`)
          await db.sync.run()
          await db.sync.run()
          assert.deepEqual(await names(remote, table), ['second'], what)
          const [row] = await db.query(`SELECT * FROM ${table}`)
          const kept = isNew ? 'mine' : 'old'
          assert.deepEqual([row.name, row.kept, row.length], ['second', kept, cursor ? '01:30:00' : null], what)
          assert.match(row.body, /^text!+$/, what)
          assert.deepEqual([await db.sync.pending(), await db.sync.rejected()], [[], []], what)
          await db.close()
        }
  },
}
