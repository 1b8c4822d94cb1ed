// Options of live queries in components: one that doesn't exist is refused, as those of `open` are.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isTidelockError } from '../../pkg-js/dist/index.js'
import { useLiveQuery, useSuspenseLiveQuery } from '../../pkg-js/dist/integrations/react/index.js'
import { liveQuery } from '../../pkg-js/dist/integrations/svelte/index.js'
import { useLiveQuery as useLiveQueryInVue } from '../../pkg-js/dist/integrations/vue/index.js'

const functions = {
  'useLiveQuery of React': [useLiveQuery, 'timeoutMs, initial, keepPreviousRows, throwOnError'],
  'useSuspenseLiveQuery of React': [useSuspenseLiveQuery, 'timeoutMs'],
  'useLiveQuery of Vue': [useLiveQueryInVue, 'timeoutMs, initial, keepPreviousRows'],
  'liveQuery of Svelte': [liveQuery, 'timeoutMs, initial, keepPreviousRows, database'],
}

for (const [name, [live, known]] of Object.entries(functions)) {
  test(`${name} refuses an unknown option`, () => {
    assert.throws(
      () => live('SELECT 1', [], { keepPreviosRows: true }),
      (error) => {
        assert.ok(isTidelockError(error, 'invalid_argument'), String(error))
        assert.equal(error.message, `${name.split(' ')[0]} has no option 'keepPreviosRows'`)
        assert.equal(error.hint, `Known are: ${known}`)
        assert.deepEqual(error.details, { option: 'keepPreviosRows' })
        return true
      },
    )
  })
}
