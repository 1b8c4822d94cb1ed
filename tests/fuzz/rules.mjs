// What holds for whatever comes from outside: it is taken, or refused by an error that programs can understand.
import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { isTidelockError } from '../../pkg-js/dist/index.js'
import { bundled } from './bundled.mjs'

const { isCoreError } = await bundled('base/errors.ts')

/** Holds an error to the rule: a TidelockError of a code of the contract, and not `internal`; `others` may be thrown, too. */
export function mustBeTyped(error, others = () => false) {
  if (others(error)) return
  const isOurs = isTidelockError(error) && isCoreError({ code: error.code })
  assert.ok(isOurs && error.code !== 'internal', `It failed with ${inspect(error, { depth: 4 })}`)
  assert.ok(error.message !== '' && !/\bundefined\b|\[object/.test(error.message), `A message: ${error.message}`)
}

/** Its value, or undefined when it was refused as it may be. */
export async function attempt(work, others) {
  try {
    return { value: await work() }
  } catch (error) {
    mustBeTyped(error, others)
    return { error }
  }
}

/** The rows of the table `mine`, which nothing that is refused may change. */
export const mine = {
  sql: "CREATE TABLE mine (id INTEGER PRIMARY KEY, text TEXT); INSERT INTO mine VALUES (1, 'one'), (2, 'two');",
  async mustBeThere(db) {
    assert.deepEqual(await db.query('SELECT * FROM mine ORDER BY id'), [
      { id: 1, text: 'one' },
      { id: 2, text: 'two' },
    ])
  },
}

/** What opening says to nobody. */
export const quiet = { onWarning() {} }
