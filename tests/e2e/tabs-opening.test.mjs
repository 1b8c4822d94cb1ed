// Tabs that share a database while one of them opens it: with `dev`, which resets it, and with migrations that take long.
import assert from 'node:assert/strict'
import { freshName, suite, test } from './harness.mjs'
import { close, hang, haveRoles, opened } from './tabs-harness.mjs'

const context = suite()

const one = { version: '1', name: 'one', up: 'CREATE TABLE t (id INTEGER PRIMARY KEY, v)' }
const two = { version: '2', name: 'two', up: 'CREATE TABLE other (v)' }
const edited = { ...one, up: 'CREATE TABLE t (id INTEGER PRIMARY KEY, v, w)' }

/** Resolves when a tab waits for a lock. */
const awaits = (page, lock) =>
  page.evaluate(
    (given) => window.until(async () => (await navigator.locks.query()).pending.some(({ name }) => name === given)),
    lock,
  )

/** Opens the database in a tab; returns its role, the columns of `t`, the reasons of the snapshots, and the codes of the warnings. */
const reset = (page, options) =>
  page.evaluate(
    (given) =>
      window.failure(async () => {
        window.db = await window.open({ tabs: 'shared', dev: true, ...given })
        const columns = await window.db.query("SELECT name FROM pragma_table_info('t')", [], { rowMode: 'array' })
        const reasons = (await window.db.snapshots.list()).map(({ reason }) => reason)
        return [window.db.role, columns.join(), reasons.join(), window.warnings.map(({ code }) => code).join()]
      }),
    options,
  )

for (const [what, before, after, columns, code] of [
  ['edited', [one], [edited], 'id,v,w', 'migration_checksum_mismatch'],
  ['removed', [one, two], [one], 'id,v', 'schema_too_new'],
]) {
  test(`dev: tabs that are reloaded at once share the reset database, after a migration was ${what}`, async () => {
    const name = freshName()
    const pages = await opened(context, 3, { name, dev: true, migrations: before })
    await pages[0].evaluate(() => window.db.run('INSERT INTO t (v) VALUES (1)'))
    await Promise.all(pages.map((page) => context.load(page)))
    const found = await Promise.all(pages.map((page) => reset(page, { name, migrations: after })))
    const expected = (role, warnings) => ({ resolved: [role, columns, 'safety', warnings] })
    const leading = found.findIndex(({ resolved }) => resolved?.[0] === 'leader')
    assert.deepEqual(
      found,
      pages.map((_, n) => (n === leading ? expected('leader', code) : expected('follower', ''))),
    )
    await close(pages)
  })
}

test('dev: a tab that is reloaded before the others waits until they are, and resets the database', async () => {
  const name = freshName()
  const pages = await opened(context, 3, { name, dev: true, migrations: [one] })
  const options = { name, migrations: [edited] }
  await context.load(pages[2])
  const first = reset(pages[2], options)
  await awaits(pages[2], `tidelock/${name}`)
  assert.deepEqual(await pages[0].evaluate(() => window.db.query('SELECT v FROM t')), [])
  const others = pages.slice(0, 2)
  for (const page of others) await context.load(page)
  const found = await Promise.all([first, ...others.map((page) => reset(page, options))])
  const follows = { resolved: ['follower', 'id,v,w', 'safety', ''] }
  const leads = { resolved: ['leader', 'id,v,w', 'safety', 'migration_checksum_mismatch'] }
  assert.deepEqual(found, [leads, follows, follows])
  await close(pages)
})

test('a tab in the queue opens the database also if the browser ends the locks of the leader one after the other', async () => {
  const name = freshName()
  const [leader, page] = [await context.page(), await context.page()]
  await leader.evaluate(async (given) => {
    const held = (lock) =>
      new Promise((granted) => {
        navigator.locks.request(lock, () => {
          granted()
          return new Promise((resolve) => {
            window[lock] = resolve
          })
        })
      })
    await held(`tidelock/${given}/leader`)
    await held(`tidelock/${given}`)
  }, name)
  await open(page, name)
  await awaits(page, `tidelock/${name}/leader`)
  await leader.evaluate((given) => window[`tidelock/${given}/leader`](), name)
  await awaits(page, `tidelock/${name}`)
  await leader.evaluate((given) => window[`tidelock/${given}`](), name)
  assert.deepEqual(await page.evaluate(() => window.opening), { resolved: 'leader' })
  await close([leader, page])
})

test('a tab waits as long as the leader opens the database and its page answers', async () => {
  const name = freshName()
  const pages = [await context.page(), await context.page()]
  await pages[0].evaluate((given) => {
    const migrate = new Promise((resolve) => {
      window.migrate = resolve
    })
    const up = async (tx) => {
      window.begun = true
      await migrate
      await tx.exec('CREATE TABLE t (v)')
    }
    const migrations = [{ version: '1', name: 'one', up }]
    window.opening = window.open({ name: given, tabs: 'shared', migrations }).then((db) => {
      window.db = db
    })
    return window.until(() => window.begun)
  }, name)
  await pages[1].evaluate((given) => {
    const migrations = [{ version: '1', name: 'one', up: () => Promise.reject(new Error('it runs once')) }]
    const lock = { timeoutMs: 1000 }
    window.opening = window.failure(async () => {
      window.db = await window.open({ name: given, tabs: 'shared', lock, migrations })
      return (await window.db.query('SELECT count(*) AS n FROM t'))[0].n
    })
    window.opening.then(() => {
      window.settled = true
    })
  }, name)
  await pages[1].waitForTimeout(2500)
  assert.equal(await pages[1].evaluate(() => window.settled), undefined)
  await pages[0].evaluate(() => {
    window.migrate()
    return window.opening
  })
  assert.deepEqual(await pages[1].evaluate(() => window.opening), { resolved: 0 })
  await haveRoles(pages, ['leader', 'follower'])
  await close(pages)
})

/** A tab that blocks its page in a migration: → [the tab, what lets it go on: → its role]. */
async function blocked(name) {
  const page = await context.page()
  await page.evaluate((given) => {
    window.given = given
  }, name)
  const release = await hang(page, async (stop) => {
    const up = async (tx) => {
      stop()
      await tx.exec('CREATE TABLE t (v)')
    }
    const migrations = [{ version: '1', name: 'one', up }]
    window.db = await window.open({ name: window.given, tabs: 'shared', migrations })
    return window.db.role
  })
  return [page, release]
}

/** Begins to open the database in a tab: as `db`, and `begun` once it runs the migration. */
const open = (page, name, timeoutMs) =>
  page.evaluate(
    ([name, timeoutMs]) => {
      const up = async (tx) => {
        window.begun = true
        await tx.exec('CREATE TABLE t (v)')
      }
      const migrations = [{ version: '1', name: 'one', up }]
      window.opening = window.failure(async () => {
        window.db = await window.open({ name, tabs: 'shared', lock: { timeoutMs }, migrations })
        return window.db.role
      })
    },
    [name, timeoutMs],
  )

test('a leader whose migration blocks its page for more than 3 s keeps the lock', {
  only: 'current',
  because: 'a page blocks itself the same way wherever the engine runs',
}, async () => {
  const name = freshName()
  const [leader, release] = await blocked(name)
  const page = await context.page()
  await open(page, name)
  await page.waitForTimeout(4500)
  assert.equal(await page.evaluate(() => window.begun), undefined)
  assert.equal(await release(), 'leader')
  assert.deepEqual(await page.evaluate(() => window.opening), { resolved: 'follower' })
  await close([leader, page])
})

test('a leader that opens the database and is silent for timeoutMs is replaced, and follows when it comes back', {
  only: 'current',
  because: 'a page blocks itself the same way wherever the engine runs',
}, async () => {
  const name = freshName()
  const [leader, release] = await blocked(name)
  const hidden = await context.page()
  await hidden.evaluate(() => Object.defineProperty(document, 'visibilityState', { get: () => 'hidden' }))
  await open(hidden, name, 1000)
  assert.equal((await hidden.evaluate(() => window.opening)).code, 'leader_unreachable')
  const visible = await context.page()
  await open(visible, name, 4000)
  assert.deepEqual(await visible.evaluate(() => window.opening), { resolved: 'leader' })
  assert.equal(await visible.evaluate(() => window.begun), true)
  assert.equal(await release(), 'follower')
  await close([leader, hidden, visible])
})

for (const what of ['a migration', 'the seed'])
  test(`an opening that is cancelled during ${what} leaves the database to the next one`, {
    only: 'current',
    because: 'a worker that is terminated releases its locks in any case',
  }, async () => {
    const page = await context.page()
    const found = await page.evaluate(
      async ([given, what]) => {
        const stop = new AbortController()
        let options
        const begun = new Promise((begin) => {
          const endless = () => {
            begin()
            return new Promise(() => {})
          }
          options =
            what === 'the seed' ? { seed: endless } : { migrations: [{ version: '1', name: 'one', up: endless }] }
        })
        const opening = window.failure(() =>
          window.open({ name: given, tabs: 'shared', signal: stop.signal, ...options }),
        )
        await begun
        stop.abort('enough')
        const { notOurs } = await opening
        const next = await window.failure(async () => {
          const db = await window.open({ name: given })
          await db.close()
        })
        return [notOurs, next]
      },
      [freshName(), what],
    )
    assert.deepEqual(found, ['enough', { resolved: undefined }])
    await page.close()
  })
