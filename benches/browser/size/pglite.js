import { PGlite } from '@electric-sql/pglite'

const db = await PGlite.create('idb://size')
await db.query('SELECT 1')
globalThis.doneAt = Date.now()
