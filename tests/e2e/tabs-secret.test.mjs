// What tabs that share a database say where every page of the origin can listen, and what they make of any message there.
import assert from 'node:assert/strict'
import { freshName, suite, test, until } from './harness.mjs'
import { close, haveRoles, leaderOf, opened } from './tabs-harness.mjs'

const context = suite()
const opening = (name, encryption) => ({ name, tabs: 'shared', encryption })

/** Has a page note what it says on channels, and the nonces that it uses under keys of the user. */
const spy = (page) =>
  page.evaluate(() => {
    window.said = []
    window.nonces = []
    const { postMessage } = BroadcastChannel.prototype
    BroadcastChannel.prototype.postMessage = function (message) {
      window.said.push({ on: this.name, message })
      return postMessage.call(this, message)
    }
    for (const method of ['encrypt', 'wrapKey']) {
      const original = crypto.subtle[method]
      crypto.subtle[method] = (...given) => {
        if (given.includes(window.key)) window.nonces.push([...given.find((one) => one?.iv !== undefined).iv].join())
        return original.apply(crypto.subtle, given)
      }
    }
  })

/** How many messages a page has said, and those in which one of these texts or any key is. */
const leaks = (page, secrets) =>
  page.evaluate((secrets) => {
    const holds = (value) =>
      typeof value === 'string'
        ? secrets.some((secret) => value.includes(secret))
        : value instanceof CryptoKey ||
          (typeof value === 'object' && value !== null && Object.values(value).some(holds))
    return { said: window.said.length, leaks: window.said.filter(holds).map(({ message }) => JSON.stringify(message)) }
  }, secrets)

test('a new secret never leaves the tab that was given it; the others are closed, and told why', async () => {
  for (const caller of [1, 0]) {
    const name = freshName()
    const [before, after] = [{ passphrase: 'the old passphrase' }, { passphrase: 'the new passphrase' }]
    const pages = []
    for (let n = 0; n < 3; n++) {
      const page = await context.page()
      await spy(page)
      await page.evaluate(
        async (given) => {
          window.db = await window.open(given)
          window.db.addEventListener('close', ({ detail }) => {
            window.ending = detail
          })
        },
        opening(name, before),
      )
      pages.push(page)
    }
    await pages[2].evaluate(() => window.db.exec('CREATE TABLE t (n); INSERT INTO t VALUES (1)'))
    await pages[caller].evaluate((secret) => window.db.rekey(secret), after)
    assert.equal(await pages[caller].evaluate(() => window.db.role), 'leader')
    assert.equal(await pages[caller].evaluate(async () => (await window.db.get('SELECT n FROM t')).n), 1)
    for (const page of pages.filter((_, n) => n !== caller)) {
      const failed = await page.evaluate(() =>
        window.until(async () => {
          const failed = await window.failure(() => window.db.query('SELECT n FROM t'))
          return failed.code && failed
        }),
      )
      assert.equal(failed.code, 'closed', JSON.stringify(failed))
      assert.match(failed.message, /changed the encryption/)
      assert.ok(await page.evaluate(() => window.until(() => window.ending)))
      assert.equal(
        (await page.evaluate((given) => window.failure(() => window.open(given)), opening(name, before))).code,
        'decryption_failed',
      )
      await page.evaluate(
        async (given) => {
          window.db = await window.open(given)
        },
        opening(name, after),
      )
      assert.equal(await page.evaluate(async () => (await window.db.get('SELECT n FROM t')).n), 1)
    }
    for (const page of pages) {
      const { said, leaks: found } = await leaks(page, [before.passphrase, after.passphrase])
      assert.ok(said > 3)
      assert.deepEqual(found, [])
    }
    await close(pages)
  }
})

test('a key of the user proves itself without being told, with nonces that never come again', {
  only: 'current',
  because: 'in a worker, the engine is out of sight',
}, async () => {
  const pages = [await context.page(), await context.page()]
  const [name, other] = [freshName(), freshName()]
  for (const page of pages) {
    await spy(page)
    const role = await page.evaluate(
      async ([name, other]) => {
        // The same key in all tabs, which could be in IndexedDB.
        const raw = new Uint8Array(32).fill(7)
        window.key = await crypto.subtle.importKey('raw', raw, 'AES-GCM', false, ['encrypt', 'decrypt'])
        const shared = (name) => window.open({ name, tabs: 'shared', encryption: { key: window.key } })
        ;[window.db, window.other] = [await shared(name), await shared(other)]
        await window.db.exec('CREATE TABLE IF NOT EXISTS t (n)')
        return window.db.role
      },
      [name, other],
    )
    assert.equal(role, page === pages[0] ? 'leader' : 'follower')
  }
  const all = []
  for (const page of pages) {
    all.push(...(await page.evaluate(() => window.nonces)))
    assert.deepEqual((await leaks(page, ['no text'])).leaks, [])
  }
  assert.ok(all.length >= 6, String(all.length))
  assert.equal(new Set(all).size, all.length)
  assert.ok(!all.includes(Array(12).fill(0).join()))
  await close(pages)
})

test('a page without the secret is not served, whatever it repeats of what it has heard', async () => {
  const name = freshName()
  const page = await context.page()
  const mallory = await context.page()
  // What another tab proves is received by all.
  await mallory.evaluate(async (name) => {
    window.heard = []
    const listen = (on) => {
      const channel = new BroadcastChannel(on)
      channel.onmessage = ({ data }) => window.heard.push({ on, data })
      return channel
    }
    window.all = listen(`tidelock/${name}/tabs`)
    window.listen = listen
    window.all.addEventListener('message', ({ data }) => data.hello && listen(`tidelock/${name}/client/${data.hello}`))
  }, name)
  const secret = { passphrase: 'a passphrase' }
  const open = (page) =>
    page.evaluate(
      async (given) => {
        window.db = await window.open(given)
      },
      opening(name, secret),
    )
  await open(page)
  const second = await context.page()
  const proofsHeard = () => mallory.evaluate(() => window.heard.filter(({ data }) => data.proof).length)
  // A listener that begins at the hello may come too late for what follows it, so the tab comes again until both proofs were heard.
  await until(async () => {
    await open(second)
    if ((await proofsHeard()) >= 2) return true
    await second.evaluate(() => window.db.close())
  }, 60_000)
  const answers = await mallory.evaluate(async (name) => {
    const hello = window.heard.find(({ data }) => data.hello).data
    const proofs = window.heard.filter(({ data }) => data.proof).map(({ data }) => data)
    const id = 'mallory'
    // A tab lives as long as it has this lock.
    await new Promise((held) => {
      navigator.locks.request(`tidelock/${name}/client/${id}`, () => {
        held()
        return new Promise(() => {})
      })
    })
    const own = window.listen(`tidelock/${name}/client/${id}`)
    const answers = []
    own.addEventListener('message', ({ data }) => answers.push(data))
    window.all.postMessage({ ...hello, hello: id })
    const { term } = await window.until(() => answers.find(({ challenge }) => challenge))
    const work = ['statement', 0, 'SELECT 1', []]
    own.postMessage({ v: 2, term, message: { id: 1, method: 'run', args: [work, 0] } })
    for (const { proof } of proofs) {
      const before = answers.length
      window.all.postMessage({ ...hello, hello: id, nonce: crypto.randomUUID() })
      await window.until(() => answers.slice(before).some(({ challenge }) => challenge))
      own.postMessage({ v: 2, term, proof })
      await window.until(() => answers.slice(before).some(({ refused }) => refused))
    }
    return answers.map(({ say, message, refused }) => say ?? refused?.ours.code ?? (message && 'message'))
  }, name)
  assert.ok(!answers.includes('welcome') && !answers.includes('message'), String(answers))
  assert.ok(answers.includes('decryption_failed'), String(answers))
  await close([page, mallory, second])
})

test('messages of another form or version end nothing: they are ignored, or answered with an error', async () => {
  const pages = await opened(context, 2)
  await haveRoles(pages, ['leader', 'follower'])
  const name = await pages[0].evaluate(() => window.db.name)
  const loud = await context.page()
  const answers = await loud.evaluate(async (name) => {
    const prefix = `tidelock/${name}/client/`
    const { held } = await navigator.locks.query()
    const tabs = held.map(({ name }) => name).filter((name) => name.startsWith(prefix))
    const channels = [`tidelock/${name}/tabs`, `tidelock/${name}`, ...tabs].map((name) => new BroadcastChannel(name))
    const answers = []
    for (const channel of channels) channel.addEventListener('message', ({ data }) => answers.push(data))
    // The follower's questions show the term.
    const { term } = await window.until(() => answers.find((data) => data?.say === 'ping'))
    const circle = {}
    circle.cause = circle
    const call = (method, ...args) => ({ v: 2, term, message: { id: 4321, method, args } })
    const run = (work, ticket) => call('run', work, ticket)
    const short = { buffer: new ArrayBuffer(4), bytes: 4, names: '' }
    const junk = [
      ...[undefined, null, 0, '', 'x', [], {}, circle, new Map(), new ArrayBuffer(3), new Error('x')],
      ...[
        { v: 2 },
        { v: 1, term },
        { v: 3, term },
        { term },
        { term, say: 'bye' },
        { v: 2, term: {} },
        { v: 2, hello: 7 },
      ],
      // What a tab that is served would say, were it of another version.
      ...tabs.map((tab) => ({ v: 99, hello: tab.slice(prefix.length), nonce: 'x', info: {} })),
      ...[
        { v: 2, hello: 'x', nonce: 'x', info: null },
        { v: 2, term, message: null },
        { v: 2, term, message: circle },
      ],
      ...[
        { v: 2, term, proof: 'x' },
        { v: 2, term, proof: new Uint8Array(9) },
        { v: 2, term, say: 'more' },
      ],
      ...[
        { v: 2, term, refused: circle },
        { v: 2, term, message: { answer: 1 } },
        { v: 2, term, rekeyed: null },
      ],
      ...[
        call('nonsense'),
        call('constructor'),
        call('core', 'free'),
        call('core', 'rekey', null),
        call('core', 'close'),
      ],
      ...[
        run(['statement', 0, {}, []], 0),
        run(['statement', 0, 'x', [{}]], 9),
        call('core', 'importBytes', { length: 4e9 }, {}, 1),
      ],
      ...[
        call('acquire', { timeoutMs: 'x' }),
        run(['batch', [null]], 1),
        run(['explain'], 0),
        run(['statement', 0, 'SELECT ?', [short]], 0),
      ],
    ]
    for (let round = 0; round < 3; round++)
      for (const channel of channels) for (const one of junk) channel.postMessage(one)
    // A tab of the version before this one.
    const old = new BroadcastChannel(`${prefix}old`)
    const refused = new Promise((resolve) => {
      old.onmessage = ({ data }) => data.refused && resolve(data.refused.ours.code)
    })
    channels[0].postMessage({
      hello: 'old',
      facts: { integers: 'auto', secret: '', migrate: true, outOfOrder: 'error' },
    })
    const answered = await window.until(() => {
      const found = answers.filter((data) => data?.message?.answer === 4321)
      return found.length >= 10 && found
    })
    return { old: await refused, codes: [...new Set(answered.map(({ message }) => message.thrown?.ours?.code))] }
  }, name)
  assert.equal(answers.old, 'database_in_use')
  assert.ok(answers.codes.includes('invalid_argument'), String(answers.codes))
  for (const page of pages) {
    await page.evaluate(() => window.db.exec('CREATE TABLE IF NOT EXISTS t (n); INSERT INTO t VALUES (1)'))
    assert.equal(await page.evaluate(async () => (await window.db.health()).status), 'ok')
  }
  assert.equal(await pages[1].evaluate(async () => (await window.db.get('SELECT count(*) AS n FROM t')).n), 2)
  await until(async () => (await leaderOf(pages)) === pages[0])
  await close([...pages, loud])
})
