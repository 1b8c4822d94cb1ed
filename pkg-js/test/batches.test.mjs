// Messages that are sent together.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { op } from '../src/engine/core.ts'
import { BatchedRequests, inBatches, isSameWrite } from '../src/rpc/batches.ts'

let last = 0
const call = (sql, kind = op.run, permitId = 0, more = {}) => ({
  id: ++last,
  method: 'run',
  args: [['statement', kind, sql, []], permitId],
  ...more,
})

/** The numbers of messages that are posted together, when these are sent in one task. */
async function groups(messages, joins = isSameWrite) {
  const posted = []
  const post = inBatches((together) => posted.push([together].flat()), joins)
  for (const message of messages) post(message, [])
  assert.equal(posted[0][0], messages[0], 'the first one goes at once')
  await undefined
  assert.deepEqual(posted.flat(), messages, 'the order stays')
  return posted.map((together) => together.length)
}

test('the same write several times in one task takes two messages', async () => {
  assert.deepEqual(await groups(Array.from({ length: 100 }, () => call('UPDATE'))), [1, 99])
})

test('whatever may take another way goes alone, after what came before it', async () => {
  assert.deepEqual(await groups([call('A'), call('A'), call('A'), call('B'), call('A')]), [1, 2, 1, 1])
  for (const other of [
    call('A', op.query),
    call('A', op.run, 7),
    call('A', op.run, 0, { cancellable: true }),
    { id: 0, method: 'release', args: [1] },
    { cancel: 3 },
  ])
    assert.deepEqual(await groups([call('A'), call('A'), other, other, call('A'), call('A')]), [1, 1, 1, 1, 1, 1])
})

test('messages of later tasks are posted at once, with what they transfer', async () => {
  const posted = []
  const post = inBatches((_, transfer) => posted.push(transfer.length), isSameWrite)
  post(call('A'), [1])
  post(call('A'), [2])
  post(call('A'), [3, 4])
  assert.deepEqual(posted, [1])
  await undefined
  post(call('A'), [])
  assert.deepEqual(posted, [1, 3, 0])
})

test('answers go together if their requests came together', async () => {
  const batched = new BatchedRequests()
  const received = []
  batched.receive([call('A'), call('A'), call('A')], ({ id }) => received.push(id))
  batched.receive(call('B'), ({ id }) => received.push(id))
  const answers = received.map((answer) => ({ answer, value: 1 }))
  assert.deepEqual(await groups(answers, (message) => batched.answers(message)), [1, 2, 1])
  assert.equal(batched.answers(answers[1]), false, 'each is answered once')
})
