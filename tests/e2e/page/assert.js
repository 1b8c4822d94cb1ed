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
  /** `expected`: a function that returns whether it is the right error. */
  async rejects(work, expected = () => true) {
    try {
      await (typeof work === 'function' ? work() : work)
    } catch (error) {
      if (expected(error)) return
      throw error
    }
    assert.fail('it was to reject')
  },
}
