// One tab at a time: who gets in, what the others see, and that no failure keeps the lock.
import assert from 'node:assert/strict'
import { freshName, suite, test } from './harness.mjs'

const context = suite()

/** Two pages, the first of which has a database open, as `window.db`. */
async function openedInFirst() {
  const name = freshName()
  const [first, second] = await Promise.all([context.page(), context.page()])
  await first.evaluate(async (name) => {
    window.db = await window.open({ name })
    await window.db.exec('CREATE TABLE t (n); INSERT INTO t VALUES (1)')
  }, name)
  return { name, first, second }
}

test('two tabs race for a name ten times: exactly one wins each time, and the other hears who', async (_, thread) => {
  const pages = await Promise.all([context.page(), context.page()])
  const wins = [0, 0]
  for (let round = 0; round < 10; round++) {
    const name = round < 5 ? `race-${process.pid}` : freshName()
    const at = Date.now() + 100
    const results = await Promise.all(
      pages.map((page) =>
        page.evaluate(
          async ([given, start]) => {
            while (Date.now() < start) await new Promise((resolve) => setTimeout(resolve))
            const result = await window.failure(() => window.open({ name: given }))
            window.db = result.resolved
            return result.resolved ? 'won' : result
          },
          [name, at],
        ),
      ),
    )
    const winner = results.indexOf('won')
    const lost = results[1 - winner]
    assert.equal(results.filter((result) => result === 'won').length, 1, JSON.stringify(results))
    wins[winner]++
    assert.equal(lost.code, 'database_in_use')
    assert.match(lost.message, /^Database already in use by tab "A page under test" since \d\d:\d\d$/)
    assert.match(lost.hint, /tabs: 'shared'/)
    assert.equal(lost.retryable, true)
    assert.ok(lost.hint)
    const { holder } = lost.details
    assert.equal(typeof holder.id, 'string')
    assert.equal(holder.title, 'A page under test')
    // Without the query, which may hold the code of a sign-in.
    assert.equal(holder.url, `${context.url}/`)
    assert.ok(Math.abs(new Date(holder.since) - Date.now()) < 60_000 && holder.since.endsWith('Z'), holder.since)
    await pages[winner].evaluate(() => window.db.close())
  }
  assert.equal(wins[0] + wins[1], 10)
  await Promise.all(pages.map((page) => page.close()))
})

test('two opens in one page share the lock, which is free after the last close', async () => {
  const [page, other] = [await context.page(), await context.page()]
  const name = freshName()
  await page.evaluate(async (name) => {
    window.both = await Promise.all([1, 2].map(() => window.open({ name })))
    await window.both[0].close()
  }, name)
  const code = () =>
    other.evaluate(async (name) => {
      const { resolved, code } = await window.failure(() => window.open({ name }))
      await resolved?.close()
      return code
    }, name)
  assert.equal(await code(), 'database_in_use')
  await page.evaluate(() => window.both[1].close())
  assert.equal(await code(), undefined)
  await page.close()
  await other.close()
})

test('who waits gets in when the holder closes, and sees what it wrote', async () => {
  const { name, first, second } = await openedInFirst()
  const waiting = second.evaluate(async (given) => {
    const db = await window.open({ name: given, lock: { onBusy: 'wait' } })
    const rows = await db.query('SELECT n FROM t')
    await db.close()
    return rows
  }, name)
  await first.evaluate(
    (given) =>
      window.until(async () =>
        (await navigator.locks.query()).pending.some((lock) => lock.name === `tidelock/${given}`),
      ),
    name,
  )
  await first.evaluate(async () => {
    await window.db.run('INSERT INTO t VALUES (2)')
    await window.db.close()
  })
  assert.deepEqual(await waiting, [{ n: 1 }, { n: 2 }])
  await Promise.all([first.close(), second.close()])
})

test('waiting ends by timeoutMs and by signal, and leaves no request in the queue of the lock', async () => {
  const { name, first, second } = await openedInFirst()
  const result = await second.evaluate(async (given) => {
    const started = performance.now()
    const timeout = await window.failure(() => window.open({ name: given, lock: { onBusy: 'wait', timeoutMs: 100 } }))
    const took = performance.now() - started
    const controller = new AbortController()
    const reason = new Error('enough')
    const pending = async () =>
      (await navigator.locks.query()).pending.filter((lock) => lock.name.endsWith(given)).length
    const waiting = window
      .open({ name: given, lock: { onBusy: 'wait' }, signal: controller.signal })
      .catch((error) => error === reason)
    await window.until(async () => (await pending()) === 1)
    controller.abort(reason)
    const aborted = await waiting
    const already = await window
      .open({ name: given, signal: AbortSignal.abort(reason) })
      .catch((error) => error === reason)
    await window.until(async () => (await pending()) === 0)
    return { code: timeout.code, retryable: timeout.retryable, took, aborted, already }
  }, name)
  assert.deepEqual(
    { ...result, took: result.took >= 90 && result.took < 5000 },
    { code: 'lock_timeout', retryable: true, took: true, aborted: true, already: true },
  )
  await Promise.all([first.close(), second.close()])
})

const inPage = { only: 'current', because: 'the end of a worker ends what it has' }

test('an opening that is cancelled at any time is not in the way of the next', inPage, async () => {
  const page = await context.page()
  const refused = await page.evaluate(async (prefix) => {
    const refused = []
    for (let n = 0; n < 40; n++) {
      const options = { name: `${prefix}-${n}`, storage: 'opfs' }
      const controller = new AbortController()
      setTimeout(() => controller.abort(), n % 10)
      await window.open({ ...options, signal: controller.signal }).then(
        (db) => db.close(),
        () => {},
      )
      await window.open(options).then(
        (db) => db.close(),
        (error) => refused.push(error.code),
      )
    }
    return refused
  }, freshName())
  assert.deepEqual(refused, [])
  await page.close()
})

test('an opening that is cancelled while it reads closes its connection to the storage', inPage, async () => {
  const page = await context.page()
  const closed = await page.evaluate(async (name) => {
    await (await window.open({ name })).close()
    const controller = new AbortController()
    const open = new Set()
    const { transaction, close } = IDBDatabase.prototype
    IDBDatabase.prototype.transaction = function (...given) {
      open.add(this)
      if (this.name === `tidelock/${name}`) controller.abort()
      return transaction.apply(this, given)
    }
    IDBDatabase.prototype.close = function () {
      open.delete(this)
      return close.call(this)
    }
    await window.failure(window.open({ name, signal: controller.signal }))
    return controller.signal.aborted && window.until(() => open.size === 0)
  }, freshName())
  assert.ok(closed)
  await page.close()
})

test('the lock is called tidelock/<name>, and goes with the tab', async () => {
  const { name, first, second } = await openedInFirst()
  const held = await second.evaluate(
    (given) =>
      window.until(async () => {
        const held = (await navigator.locks.query()).held.filter((lock) => lock.name.endsWith(given))
        return held.length > 0 && held.map((lock) => [lock.name, lock.mode])
      }),
    name,
  )
  assert.deepEqual(held, [[`tidelock/${name}`, 'exclusive']])
  await first.close() // without db.close()
  const rows = await second.evaluate(async (given) => {
    const db = await window.open({ name: given, lock: { onBusy: 'wait' } })
    const found = await db.query('SELECT n FROM t')
    await db.close()
    return found
  }, name)
  assert.deepEqual(rows, [{ n: 1 }])
  await second.close()
})

test('every kind of failed open releases the lock', async () => {
  const page = await context.page()
  const result = await page.evaluate(async (prefix) => {
    const migration = (version, up, more = {}) => ({ version, name: 'm', up, ...more })
    const cases = {
      'migration that fails': { bad: { migrations: [migration('1', 'CREATE TABLE t (n); SELECT nonsense')] } },
      'migration that throws': { bad: { migrations: [migration('1', () => Promise.reject(new Error('mine')))] } },
      'equal versions': { bad: { migrations: [migration('1', 'SELECT 1'), migration('01', 'SELECT 1')] } },
      'changed migration': {
        first: { migrations: [migration('1', 'CREATE TABLE t (n)')] },
        bad: { migrations: [migration('1', 'CREATE TABLE u (n)')] },
      },
      'missing migration': {
        first: { migrations: [migration('1', 'CREATE TABLE t (n)'), migration('2', 'SELECT 1')] },
        bad: { migrations: [migration('2', 'SELECT 1')] },
      },
      'newer schema': {
        first: { migrations: [migration('1', 'CREATE TABLE t (n)'), migration('2', 'SELECT 1')] },
        bad: { migrations: [migration('1', 'CREATE TABLE t (n)')] },
      },
      'out of order': {
        first: { migrations: [migration('2', 'CREATE TABLE t (n)')] },
        bad: { migrations: [migration('1', 'SELECT 1'), migration('2', 'CREATE TABLE t (n)')] },
      },
      'foreign tracking table': {
        script: 'CREATE TABLE schema_migrations (whatever)',
        bad: { migrations: [migration('1', 'SELECT 1')] },
      },
      'wasm that is none': { bad: { wasm: new TextEncoder().encode('not wasm') } },
      aborted: { bad: { signal: AbortSignal.abort(new Error('no')) } },
    }
    const out = {}
    for (const [label, { first, script, bad }] of Object.entries(cases)) {
      const name = `${prefix}-${label}`
      if (first || script) {
        const db = await window.open({ name, ...first })
        if (script) await db.exec(script)
        await db.close()
      }
      const failed = await window.failure(() => window.open({ name, ...bad }))
      // At once: who opens without waiting finds the lock free.
      const again = await window.failure(() => window.open({ name }))
      await again.resolved?.close()
      out[label] = { code: failed.code ?? failed.notOurs, reopens: again.resolved ? true : again }
    }
    return out
  }, freshName())
  const expected = {
    'migration that fails': 'migration_failed',
    'migration that throws': 'migration_failed',
    'equal versions': 'migration_invalid',
    'changed migration': 'migration_checksum_mismatch',
    'missing migration': 'migration_missing',
    'newer schema': 'schema_too_new',
    'out of order': 'migration_out_of_order',
    'foreign tracking table': 'migration_invalid',
    'wasm that is none': 'wasm_load_failed',
    aborted: 'Error: no',
  }
  for (const [label, code] of Object.entries(expected)) assert.deepEqual(result[label], { code, reopens: true }, label)
  await page.close()
})

test('without Web Locks it says what is missing', async () => {
  const page = await context.page()
  const failed = await page.evaluate(async (name) => {
    Object.defineProperty(navigator, 'locks', { value: undefined, configurable: true })
    return window.failure(() => window.open({ name }))
  }, freshName())
  assert.equal(failed.code, 'unsupported_environment')
  assert.match(failed.message + failed.hint, /lock/i)
  await page.close()
})

test('without IndexedDB it says so, and does not fall back', async () => {
  const page = await context.page()
  const failed = await page.evaluate(async (name) => {
    const repair = await window.rigEngine(() => {
      const open = IDBFactory.prototype.open
      IDBFactory.prototype.open = () => {
        throw new DOMException('refused', 'SecurityError')
      }
      return () => {
        IDBFactory.prototype.open = open
      }
    })
    const result = await window.failure(() => window.open({ name }))
    await repair()
    const again = await window.failure(() => window.open({ name }))
    await again.resolved?.close()
    return { ...result, again: again.resolved ? true : again }
  }, freshName())
  assert.equal(failed.code, 'storage_unavailable')
  assert.equal(failed.again, true)
  await page.close()
})
