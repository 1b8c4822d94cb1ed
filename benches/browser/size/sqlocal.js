import { SQLocal } from 'sqlocal'

const { sql } = new SQLocal('size.sqlite3')
await sql`SELECT 1`
globalThis.doneAt = Date.now()
