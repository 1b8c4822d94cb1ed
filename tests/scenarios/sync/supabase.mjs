// A Supabase client as the remote: its session, another user, a sign-out in the middle of a push, a database for each user.
import assert from 'node:assert/strict'
import { alice, bob, withSchema } from '../run/remote.mjs'

/** What a client of supabase-js has, with a user whom the scenario signs in and out. */
function clientOf(remote, tokens) {
  const listeners = new Set()
  let session = null
  return {
    supabaseUrl: remote.url,
    supabaseKey: remote.anonKey,
    auth: {
      getSession: async () => ({ data: { session }, error: null }),
      onAuthStateChange(listener) {
        listeners.add(listener)
        queueMicrotask(() => listener('INITIAL_SESSION', session))
        return { data: { subscription: { unsubscribe: () => listeners.delete(listener) } } }
      },
    },
    listeners,
    signIn(user) {
      session = user === null ? null : { access_token: tokens[user] }
      for (const listener of listeners) listener(user === null ? 'SIGNED_OUT' : 'SIGNED_IN', session)
    },
    /** The session of a user whose token had expired, and can be refreshed now. */
    refresh(user) {
      session = { access_token: tokens[user] }
      for (const listener of listeners) listener('TOKEN_REFRESHED', session)
    },
  }
}

/** A remote table in which each user sees their own rows, a client, and the options of `open`. */
async function perOwner(remote) {
  const table = remote.tableName()
  await remote.table(
    table,
    `id int primary key, owner uuid default (current_setting('request.jwt.claims')::json ->> 'sub')::uuid, a text`,
  )
  await remote.sql(`alter table ${table} enable row level security;
    create policy own on ${table} using (owner = (current_setting('request.jwt.claims', true)::json ->> 'sub')::uuid);
    insert into ${table} values (1, '${alice}', 'of alice'), (2, '${bob}', 'of bob')`)
  const client = clientOf(remote, { [alice]: await remote.jwt(alice), [bob]: await remote.jwt(bob) })
  const schema = withSchema(`CREATE TABLE ${table} (id INTEGER PRIMARY KEY, owner TEXT, a TEXT)`)
  const given = (more) => ({ ...schema, remote: { client, tables: [table], ...more } })
  return { table, client, given }
}

export default {
  'a client says where the project is and who is signed in': async ({ memory, failure, remote }) => {
    const { table, client, given } = await perOwner(remote)
    client.signIn(alice)
    const db = await memory(given())
    await db.sync.pull()
    assert.deepEqual(await db.query(`SELECT a FROM ${table}`), [{ a: 'of alice' }])
    client.signIn(bob)
    assert.equal((await failure(db.sync.pull())).code, 'sync_user_mismatch')
    client.signIn(alice)
    await db.sync.pull()
    await db.close()
    assert.equal(client.listeners.size, 0, 'a closed database listens no more')
  },

  'a sign-out in the middle of a push ends it, and what was not sent stays': async ({
    memory,
    failure,
    remote,
    until,
  }) => {
    const { table, client, given } = await perOwner(remote)
    client.signIn(alice)
    const db = await memory(given())
    await db.sync.pull()
    await db.run(`INSERT INTO ${table} (id, a) VALUES (3, 'mine')`)
    const fault = await remote.fault({ table, method: 'POST', delayMs: 5000 })
    const pushed = failure(db.sync.push())
    await until(() => fault.met())
    client.signIn(null)
    const { code, details } = await pushed
    assert.deepEqual([code, details.signedIn], ['sync_unauthorized', false])
    assert.equal((await db.sync.pending()).length, 1)
    await remote.clearFaults()
    await remote.resetRequests()
    assert.deepEqual((await failure(db.sync.run())).details.signedIn, false)
    assert.deepEqual(await remote.requests(), [], 'nothing is sent while no user is signed in')
    client.signIn(alice)
    await db.sync.push()
    assert.deepEqual(await db.sync.pending(), [])
    assert.deepEqual(await remote.sql(`select owner, a from ${table} where id = 3`), [{ owner: alice, a: 'mine' }])
  },

  'a token that is refreshed during the first call online is that of the same user': async ({
    memory,
    remote,
    failure,
  }) => {
    const { table, client, given } = await perOwner(remote)
    const db = await memory(given())
    const { getSession } = client.auth
    client.auth.getSession = async () => ({ data: { session: null }, error: new Error('no network') })
    assert.equal((await failure(db.sync.pull())).code, 'sync_unauthorized')
    client.auth.getSession = async () => {
      client.auth.getSession = getSession
      client.refresh(alice)
      return getSession()
    }
    await db.sync.pull()
    assert.deepEqual(await db.query(`SELECT a FROM ${table}`), [{ a: 'of alice' }])
  },

  'a session that waits for the call that waits for it ends with the time limit': async ({
    memory,
    remote,
    failure,
    until,
  }) => {
    const { client, given } = await perOwner(remote)
    client.signIn(alice)
    const { remote: options, ...rest } = given()
    const db = await memory({ ...rest, remote: { ...options, timeoutMs: 100 } })
    const { getSession } = client.auth
    client.auth.getSession = () => new Promise(() => {})
    const calls = ['run', 'pull', 'push'].map(async (call) => (await failure(db.sync[call]())).code)
    assert.deepEqual(await Promise.all(calls), Array(3).fill('sync_unauthorized'))
    client.auth.getSession = getSession
    // On a busy machine, the remote may need more than that time, too.
    await until(async () => (await failure(db.sync.pull())).resolved)
  },

  'in cloud mode it goes on by itself once the user is back, also after another one': async ({
    memory,
    remote,
    until,
  }) => {
    const { table, client, given } = await perOwner(remote)
    client.signIn(alice)
    const db = await memory({ ...given(), mode: 'cloud' })
    await db.sync.ready
    let id = 10
    for (const meanwhile of [null, bob]) {
      client.signIn(meanwhile)
      await db.run(`INSERT INTO ${table} (id, a) VALUES (?, 'mine')`, [++id])
      // The second one where a round was under way.
      const codes = ['sync_user_mismatch', 'sync_unauthorized']
      await until(async () => codes.includes((await db.sync.status())[0].lastError?.code))
      client.signIn(alice)
      await until(async () => (await db.sync.pending()).length === 0)
    }
    assert.deepEqual(await remote.sql(`select count(*) from ${table} where owner = '${alice}'`), [{ count: '3' }])
  },

  'perUser opens a database for each user, which belongs to that user from the beginning': async ({
    memory,
    failure,
    freshName,
    remote,
  }) => {
    const { client, given } = await perOwner(remote)
    const name = freshName()
    const signedOut = await failure(memory({ ...given({ perUser: true }), name }))
    assert.deepEqual([signedOut.code, signedOut.details.signedIn], ['sync_unauthorized', false])
    client.signIn(alice)
    const db = await memory({ ...given({ perUser: true }), name })
    assert.equal(db.name, `${name}/${alice}`)
    client.signIn(bob)
    assert.equal((await failure(db.sync.pull())).code, 'sync_user_mismatch', 'although it was never synced')
    const other = await memory({ ...given({ perUser: true }), name })
    assert.equal(other.name, `${name}/${bob}`)
    await other.sync.pull()
    const twice = await failure(memory({ ...given({ perUser: true, url: remote.url }), name }))
    assert.deepEqual([twice.code, twice.details.option], ['invalid_argument', 'remote.url'])
  },
}
