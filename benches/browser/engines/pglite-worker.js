// What PGlite's documentation has a page put into its worker.

import { PGlite } from '@electric-sql/pglite'
import { worker } from '@electric-sql/pglite/worker'

worker({
  init: ({ dataDir }) => PGlite.create(dataDir),
})
