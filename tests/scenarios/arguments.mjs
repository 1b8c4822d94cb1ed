// Wrong arguments: the codes are checked here, the messages are in tests/messages/golden/scenarios/arguments.txt.
import assert from 'node:assert/strict'
import { having } from './run/having.mjs'

const gzip = new Uint8Array([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3])

/** Returns bytes whose buffer was transferred to another thread. */
function detached() {
  const bytes = new Uint8Array(8)
  structuredClone(bytes, { transfer: [bytes.buffer] })
  return bytes
}

export default {
  'wrong arguments of a call are invalid_argument, and the database stays usable': async ({
    failure,
    memory,
    tidelock,
  }) => {
    const { sql } = tidelock
    const db = await memory()
    for (const call of [
      () => db.batch(5),
      () => db.batch([5]),
      () => db.exec(5),
      () => db.exec('CREATE TABLE made (a); INSERT INTO made VALUES (?)'),
      () => db.exec('SELECT ?', [1]),
      () => db.query(5),
      () => db.query(sql`SELECT 1`, [1]),
      () => db.query('SELECT 1', [], { tiemoutMs: 5 }),
      () => db.query('SELECT ?', 5),
      () => db.query('SELECT ?', [1, 2]),
      () => db.query('SELECT :a', { '': 1 }),
      () => db.query('SELECT :a', { ':a': 1, '@a': 2 }),
      () => db.query('SELECT ?', [2n ** 70n]),
      () => db.query('SELECT ?', [undefined]),
      () => db.query('SELECT ?', [{ secret: 1 }]),
      () => db.query('SELECT ?', [detached()]),
      () => db.query('SELECT ?', [detached().buffer]),
      () => db.query('SELECT ?', new Array(2 ** 32 - 1)),
      () => db.batch(new Array(2 ** 32 - 1)),
      () => db.runMany('SELECT ?', 5),
      () => db.runMany('SELECT ?', new Array(2 ** 32 - 1)),
      () => db.runMany('SELECT ?', [[1], 5]),
      () => db.import(5),
      () => db.import(detached()),
      () => db.snapshots.import(detached().buffer),
      () => db.migrations.reset(),
      () => db.migrations.generate(5),
      () => db.migrations.generate('SELECT 1', { renames: 5 }),
      () => db.snapshots.restore(5),
      () => db.snapshots.restore({ at: 'yesterday' }),
      () => db.snapshots.restore({ at: 5 }),
      () => db.snapshots.restore({ at: '2026-11-29T10:00:00' }),
      () => db.snapshots.restore({ at: '2026-02-30T10:00:00Z' }),
      () => db.snapshots.restore(new Date()),
      () => db.snapshots.restore(new Date().toISOString()),
      () => db.snapshots.restore({ at: new Date(), force: true }),
      () => db.snapshots.restore('1', true),
      () => db.snapshots.export({ at: new Date(), format: 'sql' }),
      () => db.snapshots.create('before the sale'),
      () => db.export('sql'),
      () => db.transaction(() => {}, 'immediate'),
      () => db.sync.pull('orders'),
      () => db.sync.pull(['orders']),
      () => db.sync.pull(),
      () => db.sync.retry('x'),
      () => db.explain({}),
      () => db.explain(['secret']),
      () => db.query('SELECT :a', Object.defineProperty({}, 'a', { enumerable: true, get: () => null.x })),
      () => db.query('SELECT ?', [{ [Symbol.toStringTag]: 'Date' }]),
      () => db.sql`SELECT ${new Array(4_294_967_295)}`,
      () => db.live('SELECT 1', [], { limit: 1 }).setWindow(null),
    ]) {
      const failed = await failure(call)
      assert.equal(failed.code, 'invalid_argument', `${call}: ${JSON.stringify(failed)}`)
      assert.ok(!JSON.stringify(failed).includes('secret'), `${call} shows what was bound`)
    }
    assert.equal((await db.get('SELECT 1 AS one')).one, 1)
  },

  'a host without streams or WebCrypto can not read and write such files': {
    only: ['node'],
    because: 'a browser does not let go of them',
    run: async ({ failure, memory }) => {
      const db = await memory()
      const { id } = await db.snapshots.create()
      const without = async (name, work) => {
        const { code } = await having(globalThis, name, undefined, () => failure(work))
        assert.equal(code, 'unsupported_environment', name)
      }
      await without('CompressionStream', () => db.snapshots.export(id, { compress: true }))
      await without('DecompressionStream', () => db.snapshots.import(gzip))
      await without('crypto', () => db.snapshots.export(id, { encrypt: { passphrase: 'words' } }))
    },
  },
}
