// The report of `doctor` about a remote, intact and broken, in Node and in pages.
import assert from 'node:assert/strict'
import { byName } from '../run/diagnosis.mjs'

const here = { only: ['node', 'page'], because: 'it opens no database, so that no worker is asked' }

export default {
  'a remote: each of its tables': {
    ...here,
    run: async ({ remote, tidelock, host }) => {
      await remote.sql(`
        create table notes (id bigint primary key, body text, updated_at timestamptz);
        insert into notes values (1, 'a', now()), (2, 'b', null);
        create table tasks (id bigint primary key, updated_at timestamptz not null default now());
        insert into tasks values (1);
        create table hidden (id bigint primary key);
        insert into hidden values (1);
        alter table hidden enable row level security;
        grant select on notes, tasks, hidden to anon;
        create table locked (id bigint primary key);
        revoke all on locked from anon;`)
      const { url, anonKey: key } = remote
      const diagnose = async (given) => byName(await tidelock.doctor({ remote: { url, key, tables: [], ...given } }))
      const checks = await diagnose({
        tables: [
          { table: 'notes', cursor: 'updated_at' },
          { table: 'tasks', cursor: 'updated_at' },
          { table: 'local_name', remoteTable: 'hidden' },
          'locked',
          'absent',
        ],
      })
      assert.deepEqual([checks.remote.ok, checks.token.ok, checks['table tasks'].ok], [true, true, true])
      assert.equal(checks['table notes'].ok, false)
      assert.match(checks['table notes'].message, /NULL/)
      assert.equal(checks['table local_name'].ok, true)
      assert.match(checks['table local_name'].hint, /row security/i)
      assert.equal(checks['table locked'].ok, false)
      assert.match(checks['table locked'].message, /40[13]/)
      assert.equal(checks['table absent'].ok, false)
      assert.match(checks['table absent'].message, /404.*absent.* does not exist/)

      const wrongKey = await diagnose({ key: 'sb_publishable_of_another_project', tables: ['tasks'] })
      assert.equal(wrongKey.remote.ok, false)
      // In a page every visitor could read the key.
      await remote.resetRequests()
      for (const secret of [remote.secretKey, remote.serviceKey])
        for (const given of [{ key: secret }, { headers: { apikey: secret } }, { accessToken: async () => secret }]) {
          const { remote: seen } = await diagnose({ ...given, tables: ['tasks'] })
          assert.equal(seen.ok, host === 'node', JSON.stringify(seen))
          if (host === 'page') assert.match(seen.message, /secret/)
        }
      if (host === 'page') assert.deepEqual(await remote.requests(), [])
      const expired = await remote.jwt('user-1', { exp: 1_000_000_000 })
      const { token } = await diagnose({ accessToken: async () => expired })
      assert.equal(token.ok, false)
      assert.match(token.message, /expired/)
      const nowhere = await diagnose({ url: 'http://127.0.0.1:9', tables: ['tasks'] })
      assert.deepEqual([nowhere.remote.ok, nowhere['table tasks'].ok], [false, false])
      assert.match(nowhere.remote.hint, /CORS/)
    },
  },

  'a cursor: missing triggers and unusable values': {
    ...here,
    run: async ({ remote, tidelock }) => {
      await remote.sql(`
        create table fine (id int primary key, "order" timestamptz not null default now(), "select" text, "a""b\\,c" int);
        insert into fine values (1, now(), 'yes', 1);
        create table unset (id int primary key, "limit" timestamptz, "apikey" bigint);
        insert into unset values (1, now(), 1), (2, null, null);
        create table later (id int primary key, at timestamptz);
        insert into later values (1, now()), (2, 'infinity');
        create table zoneless (id int primary key, at timestamp);
        insert into zoneless values (1, now());
        create table stamped (id int primary key);
        insert into stamped values (1);
        ${tidelock.sqlHelpers({ tables: ['stamped'] })}`)
      const { url, anonKey: key } = remote
      const look = async (given) => {
        const checks = byName(await tidelock.doctor({ remote: { url, key, tables: [given] } }))
        return checks[`table ${given.table}`]
      }
      // Names that PostgREST takes for its own parameters when they aren't quoted.
      for (const cursor of ['order', 'select', 'a"b\\,c']) {
        const check = await look({ table: 'fine', cursor, filter: { select: 'eq.yes' } })
        assert.equal(check.ok, true, JSON.stringify(check))
        assert.match(check.message, /cursor is set/)
        assert.match(check.hint, /never sends .*trigger.*sqlHelpers.*filter.*keys/s)
      }
      for (const cursor of ['limit', 'apikey'])
        assert.match((await look({ table: 'unset', cursor })).message, /NULL/, cursor)
      const later = await look({ table: 'later', cursor: 'at' })
      assert.deepEqual([later.ok, /future/.test(later.message)], [false, true])
      assert.deepEqual((await look({ table: 'stamped', cursor: 'updated_at' })).hint, null)
      assert.match((await look({ table: 'zoneless', cursor: 'at' })).hint, /no time zone .* timestamptz/)
      const odd = await look({ table: 'fine', filter: { nowhere: 'eq.1' } })
      assert.deepEqual([odd.ok, /filter/.test(odd.hint)], [false, true])
      const lacking = await look({ table: 'fine', columns: ['id', 'nowhere'] })
      assert.deepEqual([lacking.ok, /remote_column_missing/.test(lacking.hint)], [false, true])
    },
  },

  'a table that is only inserted into': {
    ...here,
    run: async ({ remote, tidelock }) => {
      await remote.sql(`
        create table votes (id int primary key);
        revoke all on votes from anon;
        grant insert on votes to anon;
        create table ballots (id int primary key);
        alter table ballots enable row level security;
        create policy cast_one on ballots for insert with check (true)`)
      const { url, anonKey: key } = remote
      const diagnose = async (direction) => {
        const tables = ['votes', 'ballots'].map((table) => ({ table, direction }))
        const checks = byName(await tidelock.doctor({ remote: { url, key, tables } }))
        return [checks['table votes'], checks['table ballots']]
      }
      const [votes, ballots] = await diagnose('both')
      assert.deepEqual([votes.ok, ballots.ok], [false, true])
      for (const { hint } of [votes, ballots]) assert.match(hint, /direction: 'push'/)
      for (const { ok, message } of await diagnose('push')) {
        assert.equal(ok, true)
        assert.match(message, /direction: 'push'/)
      }
    },
  },

  'wrong options are refused': {
    ...here,
    run: async ({ tidelock, failure }) => {
      for (const options of [{ remote: {} }, { remote: { url: 'nowhere', key: 'k', tables: [] } }, { nonsense: 1 }, 5])
        assert.equal((await failure(tidelock.doctor(options))).code, 'invalid_argument')
    },
  },
}
