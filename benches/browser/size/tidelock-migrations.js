import { open } from 'tidelock'

const migrations = [{ version: '1', name: 'items', up: 'CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT)' }]
const db = await open({ name: 'size', migrations })
await db.query('SELECT * FROM items')
globalThis.doneAt = Date.now()
