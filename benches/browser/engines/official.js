// Official sqlite-wasm, through its object-oriented API #1: in memory, or in the pool of OPFS files, `opfs-sahpool`.

import sqlite3InitModule from '@sqlite.org/sqlite-wasm'
import { toObject } from './rows.js'

let loaded

/** Compiles the wasm, so that no clock runs meanwhile. */
export function load() {
  loaded ??= sqlite3InitModule()
  return loaded
}

export async function open({ name, durable }) {
  const sqlite3 = await load()
  if (!durable) return adapter(sqlite3, new sqlite3.oo1.DB(':memory:', 'c'), () => {})
  const pool = await sqlite3.installOpfsSAHPoolVfs({ name: `pool-${name}` })
  return adapter(sqlite3, new pool.OpfsSAHPoolDb(`/${name}.db`), () => pool.pauseVfs())
}

function adapter({ capi }, db, afterwards) {
  // A statement that is asked for by its text is compiled once, as an app would keep it.
  const kept = new Map()
  const prepared = (sql) => {
    let statement = kept.get(sql)
    if (!statement) {
      statement = db.prepare(sql)
      kept.set(sql, statement)
    }
    return statement
  }
  const run = (statement, params) => statement.bind(params).stepReset()
  return {
    // db.exec() leaves a SELECT after its first row, unless the rows are asked for.
    exec: (sql) => void db.checkRc(capi.sqlite3_exec(db, sql, 0, 0, 0)),
    insertMany(sql, rows) {
      db.transaction(() => {
        const statement = prepared(sql)
        for (const row of rows) run(statement, row)
      })
    },
    // Arrays and a loop: selectObjects() builds each object cell by cell with the column's name read from wasm every time.
    all(sql, params) {
      const columns = []
      const rows = db.exec({ sql, bind: params, rowMode: 'array', columnNames: columns, returnValue: 'resultRows' })
      return rows.map((row) => toObject(columns, row))
    },
    points(sql, ids) {
      const statement = prepared(sql)
      const columns = statement.getColumnNames([])
      return ids.map((id) => {
        statement.bind(id)
        const found = statement.step() ? toObject(columns, statement.get([])) : undefined
        statement.reset()
        return found
      })
    },
    updates(sql, ids) {
      const statement = prepared(sql)
      for (const id of ids) run(statement, id)
    },
    close() {
      for (const statement of kept.values()) statement.finalize()
      db.close()
      return afterwards()
    },
  }
}
