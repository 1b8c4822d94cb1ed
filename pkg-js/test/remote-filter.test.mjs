import assert from 'node:assert/strict'
import { test } from 'node:test'
import { remoteFilter } from '../src/functions/remote-filter.ts'

const ask = (filter) => remoteFilter({ url: '', key: '', tables: ['other', { table: 'items', filter }] }, 'items')

test('the function gives columns and filters, now or later', async () => {
  assert.equal(
    await ask(() => ({ project: 'eq.1', or: '(a.eq.1,b.eq.2)' })),
    '["project","eq.1","or","(a.eq.1,b.eq.2)"]',
  )
  assert.equal(await ask(async () => ({})), '[]')
})

test('what it throws arrives as it is, and anything but filters is refused', async () => {
  const thrown = new Error('mine')
  await assert.rejects(
    ask(() => {
      throw thrown
    }),
    thrown,
  )
  for (const given of [undefined, null, 'eq.1', 5, ['eq.1'], { project: 1 }, { project: null }])
    await assert.rejects(
      ask(() => given),
      { code: 'invalid_argument' },
    )
  await assert.rejects(ask({ project: 'eq.1' }), { code: 'invalid_argument' })
})
