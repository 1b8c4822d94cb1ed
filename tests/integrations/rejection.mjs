import assert from 'node:assert/strict'

/** Returns a check for `assert.rejects`: the error is a TidelockError with this code. */
export const code = (wanted) => (error) => {
  assert.equal(error.name, 'TidelockError', error.stack)
  assert.equal(error.code, wanted, error.message)
  return true
}
