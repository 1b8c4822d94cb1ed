import * as SQLite from '@journeyapps/wa-sqlite'
import factory from '@journeyapps/wa-sqlite/dist/wa-sqlite-async.mjs'
import { IDBBatchAtomicVFS } from '@journeyapps/wa-sqlite/src/examples/IDBBatchAtomicVFS.js'

const module = await factory()
const api = SQLite.Factory(module)
api.vfs_register(await IDBBatchAtomicVFS.create('size', module), true)
await api.exec(await api.open_v2('size.db'), 'SELECT 1')
globalThis.doneAt = Date.now()
