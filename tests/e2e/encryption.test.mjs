// Encryption at rest and the death of a tab; tests/scenarios/encryption.mjs has all else.
import assert from 'node:assert/strict'
import { freshName, suite, test } from './harness.mjs'

const context = suite()

/** The numbers of the rounds: each kills at another point. A usual run has every second one, with TIDELOCK_ALL=1 it has all. */
const rounds = (count) =>
  Array.from({ length: count }, (_, round) => round).filter((round) => process.env.TIDELOCK_ALL || round % 2 === 1)

test('a tab that is killed while it encrypts leaves the old or the new key, and all the data', async () => {
  for (const round of rounds(6)) {
    const name = freshName()
    const page = await context.page()
    await page.evaluate(async (given) => {
      const db = await window.open({ name: given })
      await db.exec(`CREATE TABLE t (b BLOB);
        WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
        INSERT INTO t SELECT randomblob(1000) FROM n`)
      await db.snapshots.create({ label: 'kept' })
      // Without waiting for it.
      window.changing = db.rekey({ passphrase: 'new' }).catch(() => {})
    }, name)
    // Pause: each round kills at another point; tests/native/store/rekey.rs has them all.
    await new Promise((resolve) => setTimeout(resolve, round * 40))
    await page.close()
    const next = await context.page()
    const found = await next.evaluate(async (given) => {
      const attempt = (encryption) => window.open({ name: given, encryption, lock: { onBusy: 'wait' } })
      const plain = await window.failure(() => attempt(undefined))
      const db = plain.resolved ?? (await attempt({ passphrase: 'new' }))
      const { n } = await db.get('SELECT count(*) AS n FROM t')
      const [{ id }] = await db.snapshots.list()
      const { ok } = await db.snapshots.verify(id)
      await db.close()
      return { refused: plain.code ?? 'decryption_failed', n, ok }
    }, name)
    assert.deepEqual(found, { refused: 'decryption_failed', n: 3000, ok: true })
    await next.close()
  }
})

test('a tab that is killed while it rotates the key leaves all the data, and the next one continues', async () => {
  const encryption = { passphrase: 'words' }
  for (const round of rounds(4)) {
    const name = freshName()
    const page = await context.page()
    await page.evaluate(
      async (options) => {
        const db = await window.open(options)
        await db.exec(`CREATE TABLE t (b BLOB);
        WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 6000)
        INSERT INTO t SELECT randomblob(1000) FROM n`)
        await db.snapshots.create({ label: 'kept' })
        // Without waiting for it.
        window.rotating = db.rotateKey().catch(() => {})
      },
      { name, encryption },
    )
    // Pause: each round kills at another point; tests/native/store/rotation.rs has them all.
    await new Promise((resolve) => setTimeout(resolve, round * 40))
    await page.close()
    const next = await context.page()
    const found = await next.evaluate(
      async (options) => {
        const db = await window.open({ ...options, lock: { onBusy: 'wait' } })
        const { n } = await db.get('SELECT count(*) AS n FROM t')
        const [{ id }] = await db.snapshots.list()
        const { ok } = await db.snapshots.verify(id)
        // What the opening continues in the background ends by itself.
        const features = () =>
          new Promise((resolve, reject) => {
            const opening = indexedDB.open(`tidelock/${options.name}`)
            opening.onerror = () => reject(opening.error)
            opening.onsuccess = () => {
              const stored = opening.result.transaction('meta').objectStore('meta').get('head')
              stored.onsuccess = () => {
                opening.result.close()
                resolve(stored.result.features.join())
              }
            }
          })
        await window.until(async () => (await features()) === 'encryption')
        const again = await db.snapshots.verify(id)
        await db.close()
        return { n, ok, again: again.ok }
      },
      { name, encryption },
    )
    assert.deepEqual(found, { n: 6000, ok: true, again: true })
    await next.close()
  }
})
