// The form of every report of `doctor`.
import assert from 'node:assert/strict'

/** Returns the checks of a report by name, after a check of their form. */
export function byName({ ok, checks }) {
  for (const check of checks) {
    assert.deepEqual(Object.keys(check).sort(), ['hint', 'message', 'name', 'ok'])
    assert.ok(check.name && check.message && typeof check.ok === 'boolean')
    assert.ok(check.hint === null || typeof check.hint === 'string')
  }
  assert.equal(
    ok,
    checks.every((check) => check.ok),
  )
  return Object.fromEntries(checks.map((check) => [check.name, check]))
}
