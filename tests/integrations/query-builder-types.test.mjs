// The types of tidelock/kysely and tidelock/drizzle, and of live queries over both, compiled as an app compiles them.

import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const root = fileURLToPath(new URL('../../', import.meta.url))

test('an app gets the types of its query builder', async () => {
  await promisify(execFile)('node_modules/.bin/tsc', ['-p', 'tests/integrations/types'], { cwd: root }).catch(
    (error) => {
      throw new Error(error.stdout || error.message)
    },
  )
})
