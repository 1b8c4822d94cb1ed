// The rule for all external input: it is accepted, or refused with a typed error.
import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { isTidelockError } from '../../pkg-js/dist/index.js'
import { bundled } from './bundled.mjs'

const { isCoreError } = await bundled('base/errors.ts')

/** Asserts that an error is a TidelockError with a code of the contract other than `internal`, or passes `others`. */
export function mustBeTyped(error, others = () => false) {
  if (others(error)) return
  const isOurs = isTidelockError(error) && isCoreError({ code: error.code })
  assert.ok(isOurs && error.code !== 'internal', `It failed with ${inspect(error, { depth: 4 })}`)
  assert.ok(error.message !== '' && !/\bundefined\b|\[object/.test(error.message), `A message: ${error.message}`)
}

/** Runs work; returns `{ value }`, or `{ error }` when it was refused with a permitted error. */
export async function attempt(work, others) {
  try {
    return { value: await work() }
  } catch (error) {
    mustBeTyped(error, others)
    return { error }
  }
}

/** The table `mine`, whose rows no refused input may change. */
export const mine = {
  sql: "CREATE TABLE mine (id INTEGER PRIMARY KEY, text TEXT); INSERT INTO mine VALUES (1, 'one'), (2, 'two');",
  async mustBeThere(db) {
    assert.deepEqual(await db.query('SELECT * FROM mine ORDER BY id'), [
      { id: 1, text: 'one' },
      { id: 2, text: 'two' },
    ])
  },
}

/** Options that discard warnings. */
export const quiet = { onWarning() {} }
