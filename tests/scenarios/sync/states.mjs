// The states that hold a change back, and how it leaves them: docs/push.md has the list.
import assert from 'node:assert/strict'
import { withSchema } from '../run/remote.mjs'

/** Makes a table of two columns with two rows, open to every role, on both sides → `{ table, db }`. */
async function synced(
  { memory, remote },
  { columns = 'id int primary key, a text', here = 'a TEXT', ...options } = {},
) {
  const table = remote.tableName()
  await remote.table(table, columns)
  await remote.sql(`insert into ${table} (id, a) values (1, 'one'), (2, 'two')`)
  const db = await memory({
    ...withSchema(`CREATE TABLE ${table} (id INTEGER PRIMARY KEY, ${here})`),
    remote: remote.options([{ table, ...options.table }], { retries: 1, ...options.remote }),
  })
  await db.sync.pull()
  return { table, db }
}

const reasons = async (list) => (await list).map(({ key, reason }) => [Object.values(key)[0], reason])

export default {
  'a row that makes the remote fail waits alone, and other rows are sent': async (t) => {
    const { table, db } = await synced(t)
    await t.remote.sql(`create or replace function fail_${table}() returns trigger language plpgsql as
        $$ begin if new.a = 'bad' then raise exception 'no' using errcode = 'XX000'; end if; return new; end $$;
      create trigger fail before insert or update on ${table} for each row execute function fail_${table}()`)
    await db.run(`INSERT INTO ${table} VALUES (3, 'bad'), (4, 'good')`)
    await db.run(`UPDATE ${table} SET a = 'changed' WHERE id = 1`)
    await db.sync.push()
    assert.deepEqual(await reasons(db.sync.pending()), [[3, 'retrying']])
    assert.deepEqual(await db.sync.rejected(), [])
    assert.deepEqual(await t.remote.sql(`select id, a from ${table} order by id`), [
      { id: '1', a: 'changed' },
      { id: '2', a: 'two' },
      { id: '4', a: 'good' },
    ])
    // The retry isn't due yet, so no request is sent for it.
    await t.remote.resetRequests()
    await db.sync.push()
    assert.deepEqual(await t.remote.requests({ table }), [])
    await t.remote.sql(`drop trigger fail on ${table}`)
    const [{ id }] = await db.sync.pending()
    await db.sync.retry(id)
    await db.sync.push()
    assert.deepEqual(await db.sync.pending(), [])
    assert.equal((await t.remote.sql(`select from ${table}`)).length, 4)
  },

  'a row that a trigger answers with a status of its own waits or is refused alone': async (t) => {
    for (const [code, state] of [
      ['PT200', 'refused'],
      ['PT401', 'retrying'],
      ['PT404', 'refused'],
      ['PT409', 'refused'],
      ['PT429', 'retrying'],
      ['PT503', 'retrying'],
      // A foreign data wrapper can't reach its server.
      ['08001', 'retrying'],
      // The row takes more memory or temporary space than a statement may use.
      ['53200', 'retrying'],
      ['53400', 'retrying'],
    ]) {
      const { table, db } = await synced(t, { remote: { retries: 0 } })
      await t.remote.sql(`create or replace function fail_${table}() returns trigger language plpgsql as
          $$ begin if new.a = 'bad' then raise exception 'no' using errcode = '${code}'; end if; return new; end $$;
        create trigger fail before insert or update on ${table} for each row execute function fail_${table}()`)
      await db.run(`INSERT INTO ${table} VALUES (3, 'bad'), (4, 'good'), (5, 'good')`)
      await db.sync.push()
      const left = [...(await db.sync.pending()), ...(await db.sync.rejected())]
      assert.deepEqual(
        left.map(({ key, reason }) => [key.id, reason]),
        [[3, state]],
        code,
      )
      assert.match(left[0].error, /no/, code)
      assert.equal((await t.remote.sql(`select from ${table}`)).length, 4, code)
      await db.sync.pull()
      await t.remote.sql(`drop trigger fail on ${table}`)
      await db.sync.retry(left[0].id)
      await db.sync.push()
      assert.deepEqual([await db.sync.pending(), await db.sync.rejected()], [[], []], code)
    }
  },

  'a row for which a trigger misses a table, a column or a function waits alone': async (t) => {
    for (const body of ['insert into nowhere values (1);', 'new.zzz := 1;', 'perform no_function();']) {
      const { table, db } = await synced(t)
      await t.remote.sql(`create or replace function fail_${table}() returns trigger language plpgsql as
          $$ begin if new.a = 'bad' then ${body} end if; return new; end $$;
        create trigger fail before insert or update on ${table} for each row execute function fail_${table}()`)
      await db.run(`INSERT INTO ${table} VALUES (3, 'bad'), (4, 'good'), (5, 'good')`)
      await db.run(`UPDATE ${table} SET a = CASE id WHEN 1 THEN 'changed' ELSE 'bad' END WHERE id < 3`)
      await db.sync.push()
      const waiting = await db.sync.pending()
      assert.deepEqual(waiting.map(({ key, reason }) => [key.id, reason]).sort(), [
        [2, 'retrying'],
        [3, 'retrying'],
      ])
      assert.match(waiting[0].error, /nowhere|zzz|no_function/)
      assert.deepEqual(await t.remote.sql(`select id, a from ${table} order by id`), [
        { id: '1', a: 'changed' },
        { id: '2', a: 'two' },
        { id: '4', a: 'good' },
        { id: '5', a: 'good' },
      ])
      await t.remote.sql(`drop trigger fail on ${table}`)
      for (const { id } of waiting) await db.sync.retry(id)
      await db.sync.push()
      assert.deepEqual(await db.sync.pending(), [])
    }
  },

  'a refusal of the whole project keeps every change, and is reported': async (t) => {
    const { table, db } = await synced(t)
    await db.run(`UPDATE ${table} SET a = 'changed'`)
    for (const [status, body] of [
      [402, { message: 'quota exceeded' }],
      [403, '<html>blocked</html>'],
      [410, '<html>gone</html>'],
    ]) {
      const fault = await t.remote.fault({ table, status, body, times: 100 })
      const { code } = await t.failure(db.sync.push())
      assert.equal(code, 'sync_server', String(status))
      await fault.remove()
    }
    assert.deepEqual([(await db.sync.pending()).length, (await db.sync.rejected()).length], [2, 0])
    await db.sync.push()
    assert.deepEqual(await db.sync.pending(), [])
  },

  'a table that may only be inserted into takes rows': async ({ memory, remote }) => {
    const table = remote.tableName()
    await remote.table(table, 'id int primary key, a text')
    await remote.sql(`revoke all on ${table} from anon; grant insert on ${table} to anon`)
    const db = await memory({
      ...withSchema(`CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT)`),
      remote: remote.options([{ table, direction: 'push' }]),
    })
    await db.run(`INSERT INTO ${table} VALUES (1, 'one'), (2, NULL)`)
    await db.sync.run()
    assert.deepEqual(await db.sync.pending(), [])
    assert.equal((await remote.sql(`select from ${table}`)).length, 2)
  },

  'an answer that is not PostgREST’s confirms no row of a table that is only written': async (t) => {
    const table = t.remote.tableName()
    await t.remote.table(table, 'id int primary key, a text', "(1, 'one'), (2, 'two')")
    const db = await t.memory({
      ...withSchema(`CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT)`),
      remote: t.remote.options([{ table, direction: 'push' }]),
    })
    await db.run(`INSERT INTO ${table} VALUES (3, 'three')`)
    for (const body of ['<!doctype html><title>Sign in to the network</title>', 'OK', [], {}]) {
      const portal = await t.remote.fault({ table, status: 200, body, times: 100 })
      assert.equal((await t.failure(db.sync.push())).code, 'sync_protocol', JSON.stringify(body))
      assert.equal((await db.sync.pending()).length, 1)
      await portal.remove()
    }
    await db.sync.push()
    assert.deepEqual(await db.sync.pending(), [])
    assert.equal((await t.remote.sql(`select from ${table}`)).length, 3)
  },

  'a row that leaves the filter is deleted, and a cursor in the future hides no other row': async (t) => {
    const { table, db } = await synced(t, {
      columns: 'id int primary key, a text, at timestamptz not null default clock_timestamp()',
      here: 'a TEXT, at TEXT',
      table: { cursor: 'at', filter: { a: 'neq.hidden' } },
    })
    await t.remote.sql(`update ${table} set at = 'infinity' where id = 2`)
    await db.sync.pull()
    await t.remote.sql(
      `insert into ${table} (id, a) values (3, 'three'); update ${table} set a = 'hidden' where id = 1`,
    )
    await db.sync.pull()
    assert.deepEqual(await db.query(`SELECT id FROM ${table}`), [{ id: 2 }, { id: 3 }])
  },

  'a key that ignores case is refused': async ({ memory, remote, failure }) => {
    const table = remote.tableName()
    await remote.table(table, 'id text primary key', "('a'), ('A')")
    const db = await memory({
      ...withSchema(`CREATE TABLE ${table} (id TEXT COLLATE NOCASE PRIMARY KEY)`),
      remote: remote.options([table]),
    })
    const { code, hint } = await failure(db.sync.pull())
    assert.deepEqual([code, /NOCASE/.test(hint)], ['sync_schema_mismatch', true])
  },

  'a conflict function that never settles fails the call, and loses nothing': async (t) => {
    const { table, db } = await synced(t, {
      table: { conflict: () => new Promise(() => {}) },
      // The remote must answer within this time, too.
      remote: { timeoutMs: 3000 },
    })
    await db.run(`UPDATE ${table} SET a = 'here' WHERE id = 1`)
    await t.remote.sql(`update ${table} set a = 'there' where id = 1`)
    assert.equal((await t.failure(db.sync.pull())).code, 'timeout')
    assert.equal((await db.sync.pending()).length, 1)
    assert.deepEqual(await db.get(`SELECT a FROM ${table} WHERE id = 1`), { a: 'here' })
  },
}
