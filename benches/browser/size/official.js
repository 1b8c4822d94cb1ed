import sqlite3InitModule from '@sqlite.org/sqlite-wasm'

const sqlite3 = await sqlite3InitModule()
const db = new sqlite3.oo1.DB(':memory:')
db.exec('SELECT 1')
globalThis.doneAt = Date.now()
