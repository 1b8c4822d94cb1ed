// One adapter an engine, each written as that engine's documentation advises: prepared statements, one transaction for many rows,
// the documented way to rows as objects (of several, the one that measured fastest). All in memory, on the page's main thread.

import * as WaSQLite from '@journeyapps/wa-sqlite'
import waSqliteFactory from '@journeyapps/wa-sqlite/factory'
import sqlite3InitModule from '@sqlite.org/sqlite-wasm'
import { open } from 'tidelock'

function toObject(columns, row) {
  const object = {}
  for (let i = 0; i < columns.length; i++) object[columns[i]] = row[i]
  return object
}

async function tidelock() {
  const db = await open({ name: `bench-${crypto.randomUUID()}`, storage: 'memory' })
  return {
    exec: (sql) => db.exec(sql),
    insertMany: (sql, rows) => db.runMany(sql, rows),
    objects: (sql) => db.query(sql),
    async points(sql, ids) {
      const found = []
      for (const id of ids) found.push(await db.get(sql, [id]))
      return found
    },
    async queries(statements) {
      const results = []
      for (const sql of statements) results.push(await db.query(sql))
      return results
    },
    close: () => db.close(),
  }
}

let sqlite3
async function official() {
  sqlite3 ??= await sqlite3InitModule()
  const db = new sqlite3.oo1.DB(':memory:', 'c')
  // Arrays and a loop: selectObjects() builds each object cell by cell with the column's name read from wasm every time.
  const objects = (sql) => {
    const columns = []
    const rows = db.exec({ sql, rowMode: 'array', columnNames: columns, returnValue: 'resultRows' })
    return rows.map((row) => toObject(columns, row))
  }
  return {
    exec: (sql) => db.exec(sql),
    insertMany(sql, rows) {
      db.transaction(() => {
        const statement = db.prepare(sql)
        for (const row of rows) statement.bind(row).stepReset()
        statement.finalize()
      })
    },
    objects,
    points(sql, ids) {
      const statement = db.prepare(sql)
      const columns = statement.getColumnNames([])
      const found = []
      for (const id of ids) {
        statement.bind(id)
        if (statement.step()) found.push(toObject(columns, statement.get([])))
        statement.reset()
      }
      statement.finalize()
      return found
    },
    queries: (statements) => statements.map(objects),
    close: () => db.close(),
  }
}

let sqlJs
async function sqljs() {
  sqlJs ??= await initSqlJs({ locateFile: (file) => `/peers/sql.js/dist/${file}` })
  const db = new sqlJs.Database()
  // exec() and a loop: getAsObject() asks for the column names again for every row.
  const objects = (sql) => {
    const [result] = db.exec(sql)
    if (!result) return []
    const { columns, values } = result
    return values.map((row) => toObject(columns, row))
  }
  return {
    exec: (sql) => db.run(sql),
    insertMany(sql, rows) {
      db.run('BEGIN')
      const statement = db.prepare(sql)
      for (const row of rows) statement.run(row)
      statement.free()
      db.run('COMMIT')
    },
    objects,
    points(sql, ids) {
      const statement = db.prepare(sql)
      const columns = statement.getColumnNames()
      const found = ids.map((id) => {
        statement.bind([id])
        statement.step()
        return toObject(columns, statement.get())
      })
      statement.free()
      return found
    },
    queries: (statements) => statements.map(objects),
    close: () => db.close(),
  }
}

let wa
async function wasqlite() {
  wa ??= WaSQLite.Factory(await waSqliteFactory())
  const db = await wa.open_v2(':memory:')
  const objects = async (sql) => {
    const found = []
    for await (const statement of wa.statements(db, sql)) {
      const columns = wa.column_names(statement)
      while ((await wa.step(statement)) === WaSQLite.SQLITE_ROW) found.push(toObject(columns, wa.row(statement)))
    }
    return found
  }
  return {
    exec: (sql) => wa.exec(db, sql),
    async insertMany(sql, rows) {
      await wa.exec(db, 'BEGIN')
      for await (const statement of wa.statements(db, sql)) {
        for (const row of rows) {
          wa.bind_collection(statement, row)
          await wa.step(statement)
          await wa.reset(statement)
        }
      }
      await wa.exec(db, 'COMMIT')
    },
    objects,
    async points(sql, ids) {
      const found = []
      for await (const statement of wa.statements(db, sql)) {
        const columns = wa.column_names(statement)
        for (const id of ids) {
          wa.bind(statement, 1, id)
          if ((await wa.step(statement)) === WaSQLite.SQLITE_ROW) found.push(toObject(columns, wa.row(statement)))
          await wa.reset(statement)
        }
      }
      return found
    },
    async queries(statements) {
      const results = []
      for (const sql of statements) results.push(await objects(sql))
      return results
    },
    close: () => wa.close(db),
  }
}

/** By name: a function that opens an empty database in memory. */
export const engines = { tidelock, official, 'sql.js': sqljs, 'wa-sqlite': wasqlite }
