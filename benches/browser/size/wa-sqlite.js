import * as SQLite from '@journeyapps/wa-sqlite'
import factory from '@journeyapps/wa-sqlite/dist/wa-sqlite.mjs'

const api = SQLite.Factory(await factory())
await api.exec(await api.open_v2(':memory:'), 'SELECT 1')
globalThis.doneAt = Date.now()
