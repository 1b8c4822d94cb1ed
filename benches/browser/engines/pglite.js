// PGlite: PostgreSQL in wasm, through query() and transaction(); in memory, in IndexedDB, or in its worker. Its placeholders are $1, $2...

import { PGlite } from '@electric-sql/pglite'
import { PGliteWorker } from '@electric-sql/pglite/worker'

export async function open({ name, durable, worker }) {
  const dataDir = durable ? `idb://${name}` : 'memory://'
  const db = worker
    ? await PGliteWorker.create(new Worker(new URL('./pglite-worker.js', import.meta.url), { type: 'module' }), {
        dataDir,
        id: name,
      })
    : await PGlite.create(dataDir)
  const get = async (sql, id) => (await db.query(sql, [id])).rows[0]
  return {
    async exec(script) {
      await db.exec(script)
    },
    // In rows of VALUES, a statement for many: one row a statement takes PostgreSQL's protocol many times as long.
    async insertMany(sql, rows) {
      const [, head, tail] = /^(.* VALUES )(\(.*\))$/.exec(sql)
      const width = tail.split(',').length
      await db.transaction(async (tx) => {
        for (let from = 0; from < rows.length; from += 500) {
          const some = rows.slice(from, from + 500)
          const values = some.map((_, row) => `(${Array.from({ length: width }, (_, i) => `$${row * width + i + 1}`)})`)
          await tx.query(head + values.join(), some.flat())
        }
      })
    },
    all: async (sql, params) => (await db.query(numbered(sql), params)).rows,
    async points(sql, ids) {
      const statement = numbered(sql)
      const found = []
      for (const id of ids) found.push(await get(statement, id))
      return found
    },
    async updates(sql, ids) {
      const statement = numbered(sql)
      for (const id of ids) await db.query(statement, [id])
    },
    atOnce(sql, ids) {
      const statement = numbered(sql)
      return Promise.all(ids.map((id) => db.query(statement, [id])))
    },
    close: () => db.close(),
  }
}

function numbered(sql) {
  let n = 0
  return sql.replaceAll('?', () => `$${++n}`)
}
