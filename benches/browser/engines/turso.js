// Turso's database in wasm: on the page's thread, files in OPFS through its worker; it shares memory with that, so the page must be
// cross-origin isolated.

import { connect } from '@tursodatabase/database-wasm/vite'

export async function open({ name, durable }) {
  const db = await connect(durable ? `${name}.db` : ':memory:')
  const kept = new Map()
  const prepared = (sql) => {
    if (!kept.has(sql)) kept.set(sql, db.prepare(sql))
    return kept.get(sql)
  }
  return {
    exec: (sql) => db.exec(sql),
    async insertMany(sql, rows) {
      await db.transactionAsync(async (tx) => {
        const statement = await tx.prepare(sql)
        for (const row of rows) await statement.run(row)
      })()
    },
    all: (sql, params = []) => prepared(sql).all(...params),
    async points(sql, ids) {
      const statement = prepared(sql)
      const found = []
      for (const id of ids) found.push(await statement.get(id))
      return found
    },
    async updates(sql, ids) {
      const statement = prepared(sql)
      for (const id of ids) await statement.run(id)
    },
    close: () => db.close(),
  }
}
