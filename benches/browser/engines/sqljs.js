// sql.js: in memory only; an app stores what export() returns by itself.

import initSqlJs from 'sql.js'
import wasm from 'sql.js/dist/sql-wasm-browser.wasm?url'
import { toObject } from './rows.js'

let loaded

/** Compiles the wasm, so that no clock runs meanwhile. */
export function load() {
  loaded ??= initSqlJs({ locateFile: () => wasm })
  return loaded
}

export async function open() {
  const { Database } = await load()
  const db = new Database()
  const kept = new Map()
  const prepared = (sql) => {
    if (!kept.has(sql)) kept.set(sql, db.prepare(sql))
    return kept.get(sql)
  }
  return {
    exec: (sql) => void db.run(sql),
    insertMany(sql, rows) {
      db.run('BEGIN')
      const statement = prepared(sql)
      for (const row of rows) statement.run(row)
      db.run('COMMIT')
    },
    // exec() and a loop: getAsObject() asks for the column names again for every row.
    all(sql, params) {
      const [result] = db.exec(sql, params)
      if (!result) return []
      const { columns, values } = result
      return values.map((row) => toObject(columns, row))
    },
    points(sql, ids) {
      const statement = prepared(sql)
      const columns = statement.getColumnNames()
      return ids.map((id) => {
        statement.bind([id])
        const found = statement.step() ? toObject(columns, statement.get()) : undefined
        statement.reset()
        return found
      })
    },
    updates(sql, ids) {
      const statement = prepared(sql)
      for (const id of ids) statement.run([id])
    },
    close: () => db.close(),
  }
}
