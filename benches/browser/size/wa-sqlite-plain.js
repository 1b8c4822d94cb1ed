import * as SQLite from 'wa-sqlite'
import factory from 'wa-sqlite/dist/wa-sqlite.mjs'

const api = SQLite.Factory(await factory())
await api.exec(await api.open_v2(':memory:'), 'SELECT 1')
globalThis.doneAt = Date.now()
