// SQLocal: official sqlite-wasm behind a client of its own; in memory on the page's thread, stored in OPFS from its worker (which
// needs cross-origin isolation). It has no prepared statements; `batch` is its way to many statements in one transaction.

import { SQLocal } from 'sqlocal'

export async function open({ name, durable, reactive = false }) {
  const client = new SQLocal({ databasePath: durable ? `${name}.sqlite3` : ':memory:', reactive })
  const { sql, batch, destroy } = client
  if (durable && (await client.getDatabaseInfo()).storageType !== 'opfs') throw new Error('SQLocal fell back to memory')
  return {
    async exec(script) {
      await sql(script)
    },
    async insertMany(statement, rows) {
      await batch(() => rows.map((params) => ({ sql: statement, params })))
    },
    all: (statement, params = []) => sql(statement, ...params),
    async points(statement, ids) {
      const found = []
      for (const id of ids) found.push((await sql(statement, id))[0])
      return found
    },
    async updates(statement, ids) {
      for (const id of ids) await sql(statement, id)
    },
    atOnce: (statement, ids) => Promise.all(ids.map((id) => sql(statement, id))),
    follow: (statement, onChange) => client.reactiveQuery({ sql: statement, params: [] }).subscribe(onChange),
    close: () => destroy(),
  }
}
