// A worker that dies when another one can't open the database at once.
import assert from 'node:assert/strict'
import { freshName, suite, test } from './harness.mjs'

const context = suite()
const inWorker = { only: 'worker', because: 'only a worker dies without its page' }

for (const tabs of ['exclusive', 'shared']) {
  test(`a worker that dies after it stored a new secret, before its answer: ${tabs}`, inWorker, async () => {
    const secrets = [{ passphrase: 'one' }, { passphrase: 'two' }]
    const changes = [secrets, [undefined, secrets[1]], [secrets[0], undefined]]
    for (const [before, after] of changes) {
      const page = await context.page()
      const seen = await page.evaluate(
        async ([options, before, after]) => {
          const db = await window.open({ ...options, encryption: before })
          await db.exec('CREATE TABLE t (n); INSERT INTO t VALUES (1)')
          // The answer to `rekey` ends the worker instead.
          const [worker] = window.workers
          const { postMessage, onmessage } = worker
          let asked
          worker.postMessage = function (messages, transfer) {
            const call = [messages].flat().find(({ method, args }) => method === 'core' && args[0] === 'rekey')
            asked ??= call?.id
            return postMessage.call(this, messages, transfer)
          }
          worker.onmessage = (event) => {
            if ([event.data].flat().every(({ answer }) => asked === undefined || answer !== asked)) onmessage(event)
            else worker.terminate()
          }
          const failed = await window.failure(() => db.rekey(after ?? null))
          const rows = await window.failure(() => db.query('SELECT n FROM t'))
          const again = await window.failure(() => db.rekey(after ?? null))
          const { closed } = db
          await db.close()
          const next = await window.open({ ...options, encryption: after })
          const kept = await next.query('SELECT n FROM t')
          await next.close()
          const { applied } = failed.details ?? {}
          return { applied, rows: rows.resolved ?? rows.code, again: again.code, closed, kept }
        },
        [{ name: freshName(), tabs }, before, after],
      )
      const rows = [{ n: 1 }]
      assert.deepEqual(seen, { applied: null, rows, again: undefined, closed: false, kept: rows })
      await page.close()
    }
  })
}
