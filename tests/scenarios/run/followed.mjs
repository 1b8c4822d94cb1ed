// Queries that are followed by the differences of `live.changes`.
import assert from 'node:assert/strict'
import { applied } from './applied-changes.mjs'

/** Random choices from a seed. */
export function chance(seed) {
  let state = seed * 7919
  const below = (end) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * end)
  }
  return { below, of: (list) => list[below(list.length)] }
}

const same = (one, other) => {
  try {
    assert.deepEqual(one, other)
    return true
  } catch {
    return false
  }
}

/** Follows a query by its differences. */
export function follow(db, { below }, [sql, key]) {
  const window = below(3) === 0 ? { limit: 1 + below(4), offset: below(3) } : undefined
  const live = db.live(sql, [], window)
  const followed = { live, sql, window, rows: [], differences: 0, failed: undefined }
  live.changes({ key }).subscribe(
    (changes) => {
      followed.rows = applied(followed.rows, changes)
      followed.differences++
    },
    (error) => {
      followed.failed = error
    },
  )
  return followed
}

/** Waits until a query has come to what it returns now; nothing makes it run again but the commits. */
export async function caughtUp(t, db, followed, history) {
  const { sql, window, live } = followed
  const all = await db.query(sql)
  const { limit = all.length, offset = 0 } = window ?? {}
  const expected = [window === undefined ? all : all.slice(offset, offset + limit), all.length]
  const current = () => [followed.rows, live.total]
  await t
    .until(() => same(current(), expected), 5000)
    .catch(() => assert.deepEqual(current(), expected, `${history}\n${sql} ${JSON.stringify(window)}`))
  assert.equal(followed.failed, undefined)
}
