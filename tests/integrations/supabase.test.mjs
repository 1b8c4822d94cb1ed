// Clients of @supabase/supabase-js as users have them: its types, and its sessions against a real PostgREST.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { createClient } from '@supabase/supabase-js'
import { open } from '../../pkg-js/dist/index.js'
import { control } from '../remote/control.mjs'
import { startRemote } from '../remote/index.mjs'
import { until } from '../scenarios/run/context.mjs'
import { alice, remoteFacade, withSchema } from '../scenarios/run/remote.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
let server
let remote
before(async () => {
  server = await startRemote()
  const { facts, call } = control(server)
  remote = remoteFacade(facts, call)
})
after(() => server?.stop())

/** A client in whose storage a session is; without a session, a user has to sign in. */
function clientWith(session) {
  const items = new Map(session === undefined ? [] : [['session', JSON.stringify(session)]])
  const storage = {
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, value),
    removeItem: (key) => void items.delete(key),
  }
  return createClient(remote.url, remote.anonKey, { auth: { storage, storageKey: 'session', autoRefreshToken: false } })
}

async function sessionOf(user) {
  const expires_at = Math.floor(Date.now() / 1000) + 3600
  return {
    access_token: await remote.jwt(user),
    refresh_token: 'r',
    token_type: 'bearer',
    expires_in: 3600,
    expires_at,
    user: { id: user },
  }
}

test('the types of real clients fit', { timeout: 120_000 }, async () => {
  const tsc = `${root}/node_modules/.bin/tsc`
  const options = [
    '--noEmit',
    '--strict',
    '--exactOptionalPropertyTypes',
    '--skipLibCheck',
    '--module',
    'nodenext',
    '--types',
    '',
  ]
  await promisify(execFile)(tsc, [...options, 'tests/integrations/supabase/client.ts'], { cwd: root }).catch(
    (error) => {
      assert.fail(error.stdout || error.message)
    },
  )
})

test('a real client syncs as its user, stops when the user signs out, and goes on after the sign-in', async () => {
  await remote.table('orders', 'id int primary key, item text', "(1, 'tea')")
  const client = clientWith(await sessionOf(alice))
  const schema = withSchema('CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT)')
  const options = { name: 'shop', storage: 'memory', mode: 'cloud', ...schema }
  const db = await open({ ...options, remote: { client, perUser: true, tables: ['orders'] } })
  try {
    assert.equal(db.name, `shop/${alice}`)
    await db.sync.ready
    assert.deepEqual(await db.query('SELECT item FROM orders'), [{ item: 'tea' }])
    await client.auth.signOut({ scope: 'local' })
    await db.run("INSERT INTO orders VALUES (2, 'rye')")
    await until(async () => (await db.sync.status())[0].lastError?.details.signedIn === false)
    assert.deepEqual(await remote.sql('select count(*) from orders'), [{ count: '1' }])
    // As after signInWithPassword, which needs the service of Supabase Auth.
    await signIn(client, await sessionOf(alice))
    await until(async () => (await remote.sql('select count(*) from orders'))[0].count === '2')
  } finally {
    await db.close()
  }
})

/** Stores a session and calls the listeners, as the client does after an answer of Supabase Auth. */
async function signIn({ auth }, session) {
  await auth._saveSession(session)
  await auth._notifyAllSubscribers('SIGNED_IN', session)
}
