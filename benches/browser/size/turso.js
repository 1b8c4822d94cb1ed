import { connect } from '@tursodatabase/database-wasm/vite'

const db = await connect('size.db')
await db.exec('SELECT 1')
globalThis.doneAt = Date.now()
