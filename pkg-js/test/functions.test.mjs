// User-defined aggregates without an engine: the states between their steps.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkFunctions, loadFunctions } from '../src/functions/functions.ts'

test('aggregates keep a state for each group, and free it', async () => {
  const source = {
    aggregate: {
      listed: {
        start: () => [],
        step: (list, value) => {
          if (value === 'bad') throw new Error('bad')
          list.push(value)
        },
        finish: (list) => list.join(),
      },
      summed: { start: () => 0, step: (sum, value) => sum + value, finish: (sum) => sum },
      late: { start: async () => 0, step: () => {}, finish: () => 0 },
    },
  }
  const functions = await loadFunctions(checkFunctions(source, 'current'))
  const [step, value, finish] = [1, 3, 4]
  const one = functions.call(0, step, 0, ['a'])
  const other = functions.call(0, step, 0, ['b'])
  assert.notEqual(one, other)
  assert.equal(functions.call(0, step, one, ['c']), one)
  assert.equal(functions.call(0, value, one, []), 'a,c')
  assert.equal(functions.call(0, finish, one, []), 'a,c')
  assert.equal(functions.call(0, finish, other, []), 'b')
  assert.equal(functions.call(0, finish, 0, []), '')
  assert.equal(functions.call(1, finish, functions.call(1, step, functions.call(1, step, 0, [2]), [3]), []), 5)
  const failed = functions.call(0, step, 0, ['x'])
  assert.throws(() => functions.call(0, step, failed, ['bad']), /bad/)
  assert.equal(functions.running, false)
  assert.throws(() => functions.call(2, step, 0, []), /it returned a promise/)
})
