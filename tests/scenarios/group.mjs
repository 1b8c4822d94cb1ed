// Several databases opened together: all or none.
import assert from 'node:assert/strict'

/** Opens a database that must be free. Its options differ from the group's, so that a database left open is not shared. */
const isFree = async ({ open }, name) => (await open({ name, durability: 'strict' })).close()

export default {
  'a group opens all its databases, reports their health together and closes them all': async (t) => {
    const { tidelock, options } = t
    const migration = (version, up) => ({ migrations: [{ version, name: 'a', up }] })
    const given = {
      primary: options(migration('1', 'CREATE TABLE orders (id INTEGER PRIMARY KEY, item)')),
      data: options(migration('7', 'CREATE TABLE items (id INTEGER PRIMARY KEY)')),
    }
    const group = await tidelock.openGroup(given)
    await group.primary.run('INSERT INTO orders(item) VALUES (7)')
    await group.data.run('INSERT INTO items VALUES (8)')
    assert.deepEqual(await group.primary.query('SELECT item FROM orders'), [{ item: 7 }])
    assert.deepEqual(await group.data.query('SELECT id FROM items'), [{ id: 8 }])
    const { status, databases, timestamp, details } = await group.health()
    assert.deepEqual([status, databases], ['ok', { primary: 'connected', data: 'connected' }])
    assert.ok(Math.abs(new Date(timestamp) - Date.now()) < 60_000)
    assert.deepEqual([details.primary.name, details.data.name], [given.primary.name, given.data.name])
    assert.equal((await tidelock.healthResponse(group)).status, 200)
    const { primary, data } = await group.migrations.status()
    assert.deepEqual(
      [...primary, ...data].map(({ version, state }) => [version, state]),
      [
        ['1', 'applied'],
        ['7', 'applied'],
      ],
    )

    await group.data.close()
    const oneClosed = await group.health()
    assert.deepEqual([oneClosed.status, oneClosed.databases], ['failed', { primary: 'connected', data: 'failed' }])
    const response = await tidelock.healthResponse(group)
    assert.deepEqual([response.status, (await response.json()).status], [503, 'failed'])
    const closing = group.close()
    assert.equal(group.close(), closing)
    await closing
    assert.deepEqual([group.primary.closed, group.data.closed], [true, true])
    for (const { name } of Object.values(given)) await isFree(t, name)
  },

  'they open in the order of their names; one that fails leaves none open, and none locked': async (t) => {
    const { tidelock, thread, options, open, failure, freshName } = t
    const name = freshName()
    const begun = []
    const member = (number, work = () => {}) => {
      const up = async () => {
        begun.push(number)
        work()
      }
      return options({ name: `${name}-${number}`, migrations: [{ version: '1', name: 'a', up }] })
    }
    const broken = member(2, () => {
      throw new Error('broken')
    })
    const failed = await failure(tidelock.openGroup({ never: member(3), data: broken, primary: member(1) }))
    assert.equal(failed.code, 'migration_failed')
    assert.deepEqual([failed.details.database, failed.details.version], ['data', '1'])
    assert.deepEqual(begun, [1, 2], 'what comes after the failure is not touched')
    if (thread === 'worker') assert.deepEqual(globalThis.workers, [])
    for (const number of [1, 2, 3]) await isFree(t, `${name}-${number}`)

    // The second in the order is open with other options: the first one must be closed again.
    const holder = await open({ name: `${name}-2`, durability: 'strict' })
    const given = () => ({ b: options({ name: `${name}-2` }), a: options({ name: `${name}-1` }) })
    const busy = await failure(tidelock.openGroup(given()))
    assert.equal(busy.code, 'invalid_argument')
    assert.deepEqual([busy.details.database, busy.details.option], ['b', 'durability'])
    await isFree(t, `${name}-1`)
    await holder.close()
    await (await tidelock.openGroup(given())).close()
  },

  'wrong groups are refused, and no lock stays': async (t) => {
    const { tidelock, options, failure } = t
    const a = options()
    for (const [given, database] of [
      [undefined],
      [{}],
      [{ health: a }, 'health'],
      [{ a, b: a }, 'b'],
      [{ a, b: undefined }, 'b'],
      [{ a: { ...a, nonsense: 1 } }, 'a'],
    ]) {
      const { code, details } = await failure(tidelock.openGroup(given))
      assert.deepEqual([code, details.database], ['invalid_argument', database])
    }
    await isFree(t, a.name)
  },
}
