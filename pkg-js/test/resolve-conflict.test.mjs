import assert from 'node:assert/strict'
import { test } from 'node:test'
import { resolveConflict } from '../src/functions/conflict-function.ts'

const met = { table: 'items', key: { id: 1 }, base: null, local: null, remote: null }
const decide = (conflict) => resolveConflict({ url: '', key: '', tables: ['other', { table: 'items', conflict }] }, met)

test('the result of a conflict function keeps every digit', async () => {
  const row = {
    id: 7,
    big: 9223372036854775807n,
    real: 0.1,
    large: 2 ** 60,
    huge: 1e300,
    yes: true,
    none: null,
    left: undefined,
    text: 'a"b\\\n🌿',
    when: new Date(0),
    bytes: new Uint8Array([0, 255]),
    buffer: new Uint8Array([16]).buffer,
  }
  assert.equal(
    await decide(async () => row),
    '{"id":7,"big":9223372036854775807,"real":0.1,"large":1152921504606847000.0,"huge":1e+300,"yes":1,"none":null,' +
      '"text":"a\\"b\\\\\\n🌿","when":"1970-01-01T00:00:00.000Z","bytes":{"b":"00ff"},"buffer":{"b":"10"}}',
  )
})

test('null deletes, and other values than a row are refused', async () => {
  assert.equal(await decide(() => null), null)
  for (const wrong of [undefined, 1, 'row', [1], { a: Number.NaN }, { a: {} }, { a: Symbol('x') }]) {
    await assert.rejects(
      decide(() => wrong),
      { code: 'invalid_argument' },
    )
  }
  await assert.rejects(
    decide(() => {
      throw new Error('undecided')
    }),
    /undecided/,
  )
})
