// What `doctor` says of a remote in good and bad order, where it is called.
import assert from 'node:assert/strict'
import { byName } from '../run/diagnosis.mjs'

const here = { only: ['node', 'page'], because: 'it opens no database, so that no worker is asked' }

export default {
  'a remote: its tables one by one': {
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
      assert.match(checks['table absent'].message, /404/)

      const wrongKey = await diagnose({ key: 'sb_publishable_of_another_project', tables: ['tasks'] })
      assert.equal(wrongKey.remote.ok, false)
      // In a page everybody could read it.
      for (const secret of [remote.secretKey, remote.serviceKey]) {
        const given = await diagnose({ key: secret })
        assert.equal(given.remote.ok, host === 'node')
        if (host === 'page') assert.match(given.remote.message, /secret/)
      }
      const expired = await remote.jwt('user-1', { exp: 1_000_000_000 })
      const { token } = await diagnose({ accessToken: async () => expired })
      assert.equal(token.ok, false)
      assert.match(token.message, /expired/)
      const nowhere = await diagnose({ url: 'http://127.0.0.1:9', tables: ['tasks'] })
      assert.deepEqual([nowhere.remote.ok, nowhere['table tasks'].ok], [false, false])
      assert.match(nowhere.remote.hint, /CORS/)
    },
  },

  'options without sense are refused': {
    ...here,
    run: async ({ tidelock, failure }) => {
      for (const options of [{ remote: {} }, { remote: { url: 'nowhere', key: 'k', tables: [] } }, { nonsense: 1 }, 5])
        assert.equal((await failure(tidelock.doctor(options))).code, 'invalid_argument')
    },
  },
}
