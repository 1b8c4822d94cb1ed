import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createClient } from '@supabase/supabase-js'
import { resolveClient, resolveRemote } from '../src/options/resolve-remote.ts'
import { accessOf } from '../src/remote/supabase-client.ts'

// A client without network repeats the refresh of its session for half a minute; the process needn't wait for that.
const start = globalThis.setTimeout
globalThis.setTimeout = (...given) => start(...given).unref()

const url = 'https://x.supabase.co'
const tables = ['orders']
const base64url = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
const tokenOf = (sub, exp = Math.floor(Date.now() / 1000) + 3600) =>
  `${base64url({ alg: 'HS256' })}.${base64url({ sub, exp, role: 'authenticated' })}.c2ln`

/** A session as Supabase stores it. */
function sessionOf(sub, exp = Math.floor(Date.now() / 1000) + 3600) {
  const user = {
    id: sub,
    aud: 'authenticated',
    app_metadata: {},
    user_metadata: {},
    created_at: '2026-01-01T00:00:00Z',
  }
  return {
    access_token: tokenOf(sub, exp),
    refresh_token: 'r',
    token_type: 'bearer',
    expires_in: 3600,
    expires_at: exp,
    user,
  }
}

/** A real client over a storage of its own; its requests fail, as without a network. */
function clientWith(session, options = {}) {
  const items = new Map(session === undefined ? [] : [['sb-x-auth-token', JSON.stringify(session)]])
  const storage = {
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, value),
    removeItem: (key) => void items.delete(key),
  }
  const fetch = () => Promise.reject(new TypeError('no network'))
  return createClient(url, 'anon', { auth: { storage, autoRefreshToken: false }, global: { fetch }, ...options })
}

/** A client whose user the test sets. */
function fakeClient() {
  let session = null
  let error = null
  const listeners = new Set()
  const tell = (event) => {
    for (const listener of listeners) listener(event, session)
  }
  return {
    supabaseUrl: url,
    supabaseKey: 'anon',
    auth: {
      getSession: async () => ({ data: { session: error === null ? session : null }, error }),
      onAuthStateChange(listener) {
        listeners.add(listener)
        listener('INITIAL_SESSION', session)
        return { data: { subscription: { unsubscribe: () => listeners.delete(listener) } } }
      },
    },
    listeners,
    fail: (cause) => (error = cause),
    signIn(sub, event = 'SIGNED_IN') {
      session = sub === null ? null : { access_token: tokenOf(sub) }
      tell(sub === null ? 'SIGNED_OUT' : event)
    },
  }
}

test('a client gives URL, key, schema, and the token of its session', async () => {
  const session = sessionOf('user-a')
  const access = accessOf(clientWith(session))
  assert.deepEqual([access.url, access.key, access.schema], [url, 'anon', 'public'])
  assert.equal(await access.accessToken(), session.access_token)
  assert.equal(await accessOf(clientWith()).accessToken(), null)
  assert.equal(accessOf(clientWith(undefined, { db: { schema: 'app' } })).schema, 'app')
})

test('a client with tokens of another service gives those', async () => {
  const token = tokenOf('auth0|a')
  const access = accessOf(clientWith(undefined, { accessToken: async () => token }))
  assert.equal(await access.accessToken(), token)
  assert.equal(access.watchUser, undefined, 'it has no sessions')
  const client = clientWith(undefined, { accessToken: async () => token })
  const { options } = await resolveRemote({ name: 'shop', remote: { client, perUser: true, tables } })
  assert.equal(options.name, 'shop/auth0|a')
})

test('a token that could not be refreshed is no sign-out', async () => {
  const client = fakeClient()
  client.signIn('user-a')
  const cause = Object.assign(new Error('fetch failed'), { name: 'AuthRetryableFetchError' })
  client.fail(cause)
  await assert.rejects(accessOf(client).accessToken(), cause)
})

test('another user is told once, a refreshed token is not', () => {
  const client = fakeClient()
  const told = []
  const end = accessOf(client).watchUser((signedIn) => told.push(signedIn))
  client.signIn('user-a')
  client.signIn('user-a')
  client.signIn('user-a', 'TOKEN_REFRESHED')
  client.signIn('user-b')
  client.signIn(null)
  client.signIn(null)
  assert.deepEqual(told, [true, true, false])
  end()
  client.signIn('user-a')
  assert.equal(told.length, 3)
  assert.equal(client.listeners.size, 0)
})

test('a real client tells when its user signs out', async () => {
  // Its service has forgotten the session.
  const fetch = async () => new Response('{"code":"session_not_found"}', { status: 403 })
  const client = clientWith(sessionOf('user-a'), { global: { fetch } })
  const told = []
  const end = accessOf(client).watchUser((signedIn) => told.push(signedIn))
  // Listeners receive the first session in turn.
  await new Promise((resolve) => void client.auth.onAuthStateChange(resolve))
  assert.deepEqual(told, [])
  await client.auth.signOut({ scope: 'local' })
  assert.deepEqual(told, [false])
  assert.equal(await accessOf(client).accessToken(), null)
  end()
})

test('what is no client is refused, and what the client says already', () => {
  const refused = (remote, option) =>
    assert.throws(
      () => resolveClient({ tables, ...remote }),
      (error) => error.code === 'invalid_argument' && error.details.option === option && error.hint !== undefined,
    )
  for (const client of [
    null,
    5,
    'x',
    {},
    { supabaseUrl: url },
    { supabaseUrl: url, supabaseKey: 'k' },
    { ...fakeClient(), supabaseKey: 5 },
  ])
    refused({ client }, 'remote.client')
  refused({ client: fakeClient(), url }, 'remote.url')
  refused({ client: fakeClient(), key: 'k' }, 'remote.key')
  refused({ client: fakeClient(), accessToken: () => null }, 'remote.accessToken')
})

test('perUser names a database for each user, also without a network', async () => {
  const resolve = (remote, more) =>
    resolveRemote({ name: 'shop', ...more, remote: { tables, perUser: true, ...remote } })
  const expired = clientWith(sessionOf('user-a', 1))
  for (const [remote, user] of [
    [{ client: clientWith(sessionOf('user-a')) }, 'user-a'],
    [{ client: expired }, 'user-a'],
    [{ url, key: 'k', userId: 'me' }, 'me'],
    [{ url, key: 'k', accessToken: () => tokenOf('user-b') }, 'user-b'],
    [{ url, key: 'k', accessToken: async () => tokenOf('user-b') }, 'user-b'],
  ]) {
    const { options, owner } = await resolve(remote)
    assert.deepEqual([options.name, owner], [`shop/${user}`, user])
    assert.equal(options.remote.client, undefined)
  }
  const signedOut = (error) => error.code === 'sync_unauthorized' && error.details.signedIn === false
  await assert.rejects(resolve({ client: clientWith() }), signedOut)
  await assert.rejects(resolve({ url, key: 'k' }), signedOut)
  await assert.rejects(resolve({ url, key: 'k', accessToken: () => null }), signedOut)
  await assert.rejects(resolve({ client: clientWith(sessionOf('user-a')) }, { path: '/data' }), (error) => {
    return error.code === 'invalid_argument' && error.details.option === 'path'
  })
  await assert.rejects(resolve({ perUser: 'yes', url, key: 'k' }), { code: 'invalid_argument' })
  assert.equal((await resolve({ perUser: false, url, key: 'k' })).options.name, 'shop')
})
