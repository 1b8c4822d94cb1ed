import initSqlJs from 'sql.js'
import wasm from 'sql.js/dist/sql-wasm-browser.wasm?url'

const { Database } = await initSqlJs({ locateFile: () => wasm })
new Database().exec('SELECT 1')
globalThis.doneAt = Date.now()
