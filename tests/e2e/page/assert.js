// What scenarios use of Node's `assert/strict`, in pages.
import { assert } from 'chai'

export default {
  ok: assert.ok,
  equal: assert.strictEqual,
  notEqual: assert.notStrictEqual,
  deepEqual: assert.deepEqual,
  notDeepEqual: assert.notDeepEqual,
  match: assert.match,
  doesNotMatch: assert.notMatch,
  throws: assert.throws,
  fail: assert.fail,
  /** `expected`: a class, or a function that tells whether it is the right error. */
  async rejects(work, expected, message = 'it was to reject') {
    let error
    try {
      await (typeof work === 'function' ? work() : work)
    } catch (thrown) {
      if (expected === undefined || thrown instanceof expected || (!isClass(expected) && expected(thrown))) return
      error = thrown
    }
    assert.fail(`${message}: ${error ?? 'it resolved'}`)
  },
}

const isClass = (value) => /^class\b/.test(String(value)) || value.prototype instanceof Error || value === Error
