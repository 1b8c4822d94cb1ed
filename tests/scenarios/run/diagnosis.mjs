// What every answer of `doctor` keeps to.
import assert from 'node:assert/strict'

/** The checks of a diagnosis by name, each as the contract has it. */
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
