// The time of a transaction, with a statement that SQLite ends at will.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Steps } from '../src/api/steps.ts'
import { TidelockError } from '../src/base/errors.ts'

const connection = {
  startDeferred() {},
  turnDue() {},
  retry: async (error) => {
    throw error
  },
}
const idle = { used() {} }
const ended = () => {
  throw new TidelockError('timeout', 'The statement exceeded timeoutMs', {
    details: { sqliteCode: 'SQLITE_INTERRUPT' },
  })
}
const exceeded = (timeoutMs) => (error) => error.code === 'timeout' && error.details.timeoutMs === timeoutMs

test('a statement that the time of its transaction ended ends the transaction, whatever the clock of this thread says', async () => {
  const outer = new Steps(connection, idle)
  outer.limit({ timeoutMs: 60_000 })
  const nested = new Steps(connection, idle, outer)
  nested.limit(undefined)
  // The time of the statement alone, which its function may catch; also that of one in a nested transaction.
  await assert.rejects(nested.step({ timeoutMs: 50_000 }, ended), exceeded(50_000))
  await assert.rejects(
    outer.step(undefined, () => nested.step({ timeoutMs: 50_000 }, ended)),
    exceeded(50_000),
  )
  nested.checkTime()
  outer.checkTime()
  await assert.rejects(nested.step({ timeoutMs: 70_000 }, ended), exceeded(60_000))
  assert.throws(() => nested.checkTime(), exceeded(60_000))
  assert.throws(() => outer.checkTime(), exceeded(60_000))
})
