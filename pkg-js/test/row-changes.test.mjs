// The differences of `live.changes`, between random results.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Random } from '../../tests/fuzz/random.mjs'
import { applied } from '../../tests/scenarios/run/applied-changes.mjs'
import { isEmpty, rowChanges } from '../src/api/row-changes.js'

const nothing = () => ({ rows: [], keys: new Set() })

const values = [
  null,
  0,
  1,
  1n,
  2n ** 60n,
  1.5,
  '',
  '1',
  'a',
  '\0string1:1',
  new Uint8Array([1]),
  new Uint8Array([1, 2]),
]

test('each difference makes the next result of the one before', () => {
  for (let seed = 1; seed <= 3000; seed++) {
    const random = new Random(seed)
    const key = random.pick([['id'], ['id', 'part']])
    const ids = key.length === 1 ? values : values.slice(0, 8)
    const universe = ids.flatMap((id) => (key.length === 1 ? [{ id, part: 0 }] : values.map((part) => ({ id, part }))))
    const row = (one) => ({ ...one, text: random.pick(values) })
    const shuffled = (rows) => {
      for (let at = rows.length - 1; at > 0; at--) {
        const other = random.below(at + 1)
        ;[rows[at], rows[other]] = [rows[other], rows[at]]
      }
      return rows
    }
    let before = nothing()
    for (let step = 0; step < 4; step++) {
      const few = shuffled([...universe]).slice(0, random.below(universe.length + 1))
      // Some results have nearly all rows of the one before, as after a commit.
      const rows =
        random.below(3) === 0
          ? few.map(row)
          : before.rows.filter(() => random.below(8) > 0).map((one) => (random.below(4) ? one : row(one)))
      const { changes, after } = rowChanges(before, rows, key)
      assert.deepStrictEqual(applied(before.rows, changes), rows, `seed ${seed}`)
      assert.equal(after.keys.size, rows.length)
      assert.ok(changes.moved.length < Math.max(1, rows.length))
      assert.ok(isEmpty(rowChanges(after, structuredClone(rows), key).changes))
      before = after
    }
  }
})

test('one row that moves is one that moved, in both directions', () => {
  const rows = Array.from({ length: 100 }, (_, id) => ({ id }))
  for (const [from, index] of [
    [90, 10],
    [10, 90],
  ]) {
    const { after } = rowChanges(nothing(), rows, ['id'])
    const next = [...rows]
    next.splice(index, 0, ...next.splice(from, 1))
    const { changes } = rowChanges(after, next, ['id'])
    assert.deepEqual(changes, { added: [], updated: [], removed: [], moved: [{ row: { id: from }, index, from }] })
  }
})

test('a key that is missing or not unique is refused, and leaves the result before as it was', () => {
  const { after } = rowChanges(nothing(), [{ id: 1 }, { id: 2 }, { id: 3 }], ['id'])
  const refused = (rows, key = ['id']) => {
    assert.throws(() => rowChanges(after, rows, key), { code: 'invalid_argument' })
    assert.deepEqual([...after.keys], [1, 2, 3])
  }
  refused([{ id: 1 }, { id: 2 }, { id: 3 }, { id: 2 }])
  refused([{ id: 4 }, { id: 4 }])
  refused([{ id: 1 }, { id: 1 }, { id: 2 }, { id: 3 }])
  refused([{ other: 1 }])
  refused([{ id: 4 }], ['id', 'other'])
  const { changes } = rowChanges(after, [{ id: 2 }, { id: 3 }, { id: 1 }], ['id'])
  assert.deepEqual(changes.moved, [{ row: { id: 1 }, index: 2, from: 0 }])
})

test('after a change of the columns all rows are updated', () => {
  const { after } = rowChanges(nothing(), [{ id: 1 }, { id: 2 }], ['id'])
  const { changes } = rowChanges(after, [{ id: 1, more: null }], ['id'])
  assert.deepEqual(changes, {
    added: [],
    updated: [{ row: { id: 1, more: null }, previous: { id: 1 }, index: 0 }],
    removed: [{ row: { id: 2 }, index: 1 }],
    moved: [],
  })
})
