// A page of the same origin that forges messages between tabs: whatever it sends, no permit stays taken, and every tab goes on.
import assert from 'node:assert/strict'
import { freshName, suite, test, until } from './harness.mjs'
import { close, haveRoles, opened } from './tabs-harness.mjs'

const context = suite()

/** A leader, a follower, and a page with `forger`, which knows what any script of the origin can know about them. */
async function withForger() {
  const name = freshName()
  const [leader, follower] = await opened(context, 2, { name })
  await haveRoles([leader, follower], ['leader', 'follower'])
  await leader.evaluate(() => window.db.exec('CREATE TABLE t (v)'))
  const forger = await context.page()
  await forger.evaluate(async (database) => {
    const prefix = `tidelock/${database}/client/`
    const heldBy = async (lock) => (await navigator.locks.query()).held.find((one) => one.name === lock)?.clientId
    const leads = await heldBy(`tidelock/${database}/leader`)
    const { held } = await navigator.locks.query()
    const clients = held.filter((one) => one.name.startsWith(prefix))
    const idOf = ({ name }) => name.slice(prefix.length)
    const leaderId = idOf(clients.find(({ clientId }) => clientId === leads))
    const followerId = idOf(clients.find(({ clientId }) => clientId !== leads))
    const all = new BroadcastChannel(`tidelock/${database}/tabs`)
    const channelOf = (id) => new BroadcastChannel(prefix + id)
    const own = channelOf(followerId)
    const term = await new Promise((resolve) => {
      own.onmessage = ({ data }) => data.say === 'pong' && resolve(data.term)
    })
    own.onmessage = null
    /** Follows as a tab of that id would, then asks for the connection. */
    const follow = async (id) => {
      const channel = channelOf(id)
      const nonce = crypto.randomUUID()
      const acquire = { v: 2, term, message: { id: 1, method: 'acquire', args: [undefined] } }
      await new Promise((resolve) => {
        // biome-ignore lint/plugin: a leader that ignores the forger never answers
        setTimeout(resolve, 1000)
        channel.onmessage = ({ data }) => {
          if (data.nonce === nonce) channel.postMessage({ v: 2, term, proof: new Uint8Array(0) })
          if (data.say !== 'welcome') return
          channel.postMessage(acquire)
          resolve()
        }
        const info = { integers: 'auto', migrate: true, outOfOrder: 'error' }
        all.postMessage({ v: 2, hello: id, nonce, info })
      })
      channel.onmessage = null
    }
    const send = (message) => own.postMessage({ v: 2, term, message })
    window.forger = { leaderId, followerId, term, all, own, follow, send }
  }, name)
  return { leader, follower, forger }
}

/** Writes in a tab, which may lose the tab's session once to what was forged, but never waits for ever. */
const write = (page) =>
  until(() =>
    page.evaluate(() =>
      window.db.run('INSERT INTO t VALUES (1)', [], { timeoutMs: 5000 }).then(
        () => true,
        ({ code }) => {
          if (code === 'timeout') throw new Error('the connection is taken')
          return false
        },
      ),
    ),
  )

for (const [what, forge] of [
  [
    "a follower's request for the connection",
    () => window.forger.send({ id: 77, method: 'acquire', args: [undefined] }),
  ],
  [
    "a follower's request that wants no answer",
    () => window.forger.send({ id: 0, method: 'acquire', args: [undefined] }),
  ],
  ["a follower's id in a session of its own", () => window.forger.follow(window.forger.followerId)],
  ["the leader's id", () => window.forger.follow(window.forger.leaderId)],
  ['an id without a lock', () => window.forger.follow(crypto.randomUUID())],
])
  test(`a forged message takes no permit: ${what}`, async () => {
    const { leader, follower, forger } = await withForger()
    await forger.evaluate(forge)
    for (const page of [leader, follower, leader]) await write(page)
    await haveRoles([leader, follower], ['leader', 'follower'])
    await close([leader, follower, forger])
  })

test('a forged answer to a transaction of a follower leaves no permit behind', async () => {
  const { leader, follower, forger } = await withForger()
  await forger.evaluate(() => {
    const { own, term } = window.forger
    own.onmessage = ({ data }) => {
      if (data.message?.method === 'acquire')
        own.postMessage({ v: 2, term, message: { answer: data.message.id, value: 999 } })
    }
  })
  await follower.evaluate(() => window.db.transaction((tx) => tx.run('INSERT INTO t VALUES (1)')).catch(() => {}))
  await forger.evaluate(() => {
    window.forger.own.onmessage = null
  })
  for (const page of [leader, follower, leader]) await write(page)
  await close([leader, follower, forger])
})

test("a follower's messages can't end, commit or nest a transaction of the leader", async () => {
  const { leader, follower, forger } = await withForger()
  await leader.evaluate(async () => {
    window.tx = await window.db.begin()
    await window.tx.run('INSERT INTO t VALUES (2)')
  })
  await forger.evaluate(() => {
    for (let permit = 1; permit <= 200; permit++) {
      window.forger.send({ id: 0, method: 'begin', args: [permit, false] })
      window.forger.send({ id: 0, method: 'commit', args: [permit, 1] })
      window.forger.send({ id: 0, method: 'rollback', args: [permit, 1] })
      window.forger.send({ id: 0, method: 'release', args: [permit] })
    }
    window.forger.send({ id: 90, method: 'applied', args: [1] })
  })
  const count = await leader.evaluate(async () => {
    await window.until(async () => (await window.tx.get('SELECT count(*) AS n FROM t')).n === 1)
    await window.tx.rollback()
    return (await window.db.get('SELECT count(*) AS n FROM t')).n
  })
  assert.equal(count, 0)
  for (const page of [leader, follower]) await write(page)
  await close([leader, follower, forger])
})

test('a forged leader that a follower obeys frees the connection at the true one', async () => {
  const { leader, follower, forger } = await withForger()
  await follower.evaluate(async () => {
    // A hidden tab doesn't take over from a leader that doesn't answer.
    Object.defineProperty(document, 'visibilityState', { value: 'hidden' })
    window.tx = await window.db.begin()
    await window.tx.run('INSERT INTO t VALUES (3)')
  })
  await forger.evaluate(async () => {
    const { all, own, followerId } = window.forger
    const term = `${Date.now() + 1000}/forged`
    await new Promise((resolve) => {
      all.onmessage = ({ data }) => {
        if (data.hello === followerId)
          own.postMessage({ v: 2, term, challenge: 'c', nonce: data.nonce, proof: new Uint8Array(0) })
      }
      own.onmessage = ({ data }) => {
        if (data.proof === undefined || data.term !== term) return
        own.postMessage({ v: 2, term, say: 'welcome' })
        resolve()
      }
      all.postMessage({ v: 2, term })
    })
    all.onmessage = null
    own.onmessage = null
  })
  await write(leader)
  await close([leader, follower, forger])
})

test('a tab in whose name another version was forged is served again', async () => {
  const { leader, follower, forger } = await withForger()
  for (let round = 0; round < 30; round++) {
    await forger.evaluate(() => {
      const { all, own, send, followerId } = window.forger
      // The follower attaches again, and meets the refusal of what looks like a tab of another version.
      send({ id: 77, method: 'acquire', args: [undefined] })
      all.postMessage({ v: 99, hello: followerId, nonce: 'x', info: {} })
      own.postMessage({ v: 99, term: 'another', refused: {} })
    })
    await write(follower)
  }
  assert.equal(await follower.evaluate(() => window.db.role), 'follower')
  await write(leader)
  await close([leader, follower, forger])
})
