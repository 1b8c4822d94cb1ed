// Authentication: tokens that expire, keys that aren't allowed in a page, users that change.
import assert from 'node:assert/strict'
import { alice, bob, withSchema } from '../run/remote.mjs'

const refused = (code) => ({ status: 401, body: { code, message: 'JWT expired' } })
const anHourAgo = () => Math.floor(Date.now() / 1000) - 3600

/** A remote table of one row, and a local one → `{ table, given(more) }`, the options of `open` with these remote options. */
async function shared(remote) {
  const table = remote.tableName()
  await remote.table(table, 'id int primary key, a text', "(1, 'a')")
  const schema = withSchema(`CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT)`)
  return { table, given: (more) => ({ ...schema, remote: remote.options([table], more) }) }
}

export default {
  'after a refusal the token is renewed once; refused again, the call fails and the queue stays': async ({
    open,
    failure,
    remote,
  }) => {
    const { table, given } = await shared(remote)
    const token = await remote.jwt(alice)
    let asked = 0
    const accessToken = async () => {
      asked++
      return token
    }
    const db = await open(given({ accessToken }))
    const write = () => db.run(`INSERT INTO ${table} (a) VALUES ('mine')`)
    await db.sync.pull()
    for (const code of ['PGRST301', 'PGRST303']) {
      for (const call of ['pull', 'push']) {
        await write()
        await remote.fault({ table, ...refused(code) })
        asked = 0
        await db.sync[call]()
        assert.equal(asked, 2, `${code} ${call}: at its beginning, and once more`)

        await write()
        await remote.fault({ table, ...refused(code), times: 1000 })
        await remote.resetRequests()
        asked = 0
        const waiting = await db.sync.pending()
        const failed = await failure(db.sync[call]())
        assert.deepEqual([failed.code, failed.retryable, asked], ['sync_unauthorized', false, 2])
        assert.ok(failed.hint)
        assert.ok((await db.sync.status())[0].lastError)
        assert.equal((await remote.requests({ table })).length, 2, 'the request and its one repetition')
        assert.ok(waiting.length > 0)
        assert.deepEqual(await db.sync.pending(), waiting, 'nothing is lost')

        await remote.clearFaults()
        await db.sync.push()
        assert.deepEqual(await db.sync.pending(), [])
      }
    }
    assert.deepEqual(await remote.sql(`select count(*) from ${table}`), [{ count: '9' }])
  },

  '403 is not about the token, so it is not renewed': async ({ memory, failure, remote }) => {
    const { table, given } = await shared(remote)
    await remote.sql(`revoke select, insert on ${table} from authenticated`)
    const token = await remote.jwt(alice)
    let asked = 0
    const accessToken = async () => {
      asked++
      return token
    }
    const db = await memory(given({ accessToken }))
    const pulled = await failure(db.sync.pull())
    assert.deepEqual([pulled.code, pulled.details.remoteCode, asked], ['sync_rejected', '42501', 1])
    await db.run(`INSERT INTO ${table} VALUES (5, 'mine')`)
    const pushed = await db.sync.push()
    assert.deepEqual([pushed.tables[0].rejected, asked], [1, 2])
    assert.match((await db.sync.rejected())[0].error, /permission denied/)
  },

  'a start without network and with an expired token serves local data, and loses nothing': async ({
    open,
    failure,
    remote,
  }) => {
    const { table, given } = await shared(remote)
    const [good, expired] = [await remote.jwt(alice), await remote.jwt(alice, { exp: anHourAgo() })]
    let tokens = [good]
    const options = given({ retries: 0, accessToken: async () => tokens.shift() ?? null })
    let db = await open(options)
    await db.sync.pull()
    await db.close()

    await remote.fault({ drop: true, times: 1000 })
    tokens = [expired]
    db = await open({ ...options, name: db.name })
    assert.deepEqual(await db.query(`SELECT a FROM ${table}`), [{ a: 'a' }])
    await db.run(`INSERT INTO ${table} VALUES (2, 'offline')`)
    assert.equal((await failure(db.sync.run())).code, 'sync_network')
    assert.equal((await db.sync.pending()).length, 1)

    await remote.clearFaults()
    tokens = [expired, good]
    await db.sync.push()
    assert.deepEqual(await db.sync.pending(), [])
    assert.deepEqual(await remote.sql(`select a from ${table} where id = 2`), [{ a: 'offline' }])
  },

  'an accessToken that returns something else than a token is refused, and nothing is sent': async ({
    memory,
    failure,
    remote,
  }) => {
    const { table, given } = await shared(remote)
    for (const returned of [{ access_token: 'x' }, 5, '', true]) {
      const db = await memory(given({ accessToken: async () => returned }))
      await db.run(`INSERT INTO ${table} VALUES (2, 'mine')`)
      for (const method of ['push', 'pull', 'run']) {
        const failed = await failure(db.sync[method]())
        assert.equal(failed.code, 'invalid_argument', `${method}, ${JSON.stringify(returned)}`)
        assert.match(failed.message, /accessToken/)
      }
      assert.equal((await db.sync.pending()).length, 1)
    }
    assert.equal((await remote.sql(`select from ${table}`)).length, 1)
  },

  'a failed accessToken is no network error, and only the name of its error is reported': async ({
    memory,
    failure,
    remote,
  }) => {
    const { given } = await shared(remote)
    const accessToken = async () => {
      throw new TypeError('refresh token s3cr3t')
    }
    const db = await memory(given({ accessToken }))
    const failed = await failure(db.sync.pull())
    assert.equal(failed.code, 'sync_unauthorized')
    assert.match(failed.cause, /TypeError/)
    assert.doesNotMatch(JSON.stringify([failed, await db.health(), await db.sync.status()]), /s3cr3t/)
  },

  'a secret key is refused in a page on every way in, before anything is sent': {
    only: ['page', 'worker'],
    because: 'a program in Node may hold a secret key',
    run: async ({ memory, failure, remote }) => {
      const { given } = await shared(remote)
      for (const key of [remote.serviceKey, remote.secretKey]) {
        const failed = await failure(memory(given({ key })))
        assert.equal(failed.code, 'invalid_argument')
        assert.match(failed.hint, /publishable/)
        assert.ok(!JSON.stringify(failed).includes(key), 'the key is in no error')
      }
      for (const secret of [remote.serviceKey, remote.secretKey]) {
        const db = await memory(given({ accessToken: async () => secret }))
        const refused = [
          await failure(memory(given({ headers: { authorization: `Bearer ${secret}` } }))),
          await failure(memory(given({ headers: { apikey: secret } }))),
          await failure(db.sync.pull()),
          await failure(db.sync.push()),
        ]
        for (const { code, message } of refused) {
          assert.equal(code, 'invalid_argument')
          assert.match(message, /is a secret key/)
        }
        assert.ok(!JSON.stringify([refused, await db.health(), await db.sync.status()]).includes(secret))
      }
      assert.equal((await failure(memory(given({ key: '' })))).code, 'invalid_argument')
      for (const key of [remote.anonKey, remote.publishableKey]) await memory(given({ key }))
      assert.deepEqual(await remote.requests(), [])
    },
  },

  'the database belongs to one user: userId, or the sub of the token': async ({ open, freshName, failure, remote }) => {
    const { table, given } = await shared(remote)
    const name = freshName()
    const as = async (more, call) => {
      const db = await open({ ...given(more), name })
      if (call === 'push') await db.run(`INSERT INTO ${table} (a) VALUES ('x')`)
      const outcome = await failure(db.sync[call]())
      await db.close()
      return outcome
    }
    assert.ok((await as({ userId: alice }, 'pull')).resolved)
    await remote.resetRequests()
    const token = await remote.jwt(bob)
    for (const call of ['pull', 'push']) {
      for (const other of [{ userId: bob }, {}, { accessToken: async () => token }]) {
        const { code, retryable, hint } = await as(other, call)
        assert.deepEqual([code, retryable], ['sync_user_mismatch', false])
        assert.ok(hint)
      }
    }
    assert.deepEqual(await remote.requests(), [], 'before any request')
    const own = await remote.jwt(alice)
    assert.ok((await as({ accessToken: async () => own }, 'pull')).resolved)
  },
}
