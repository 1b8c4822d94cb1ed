import { open } from 'tidelock'

const db = await open({ name: 'size', thread: 'worker' })
await db.query('SELECT 1')
globalThis.doneAt = Date.now()
