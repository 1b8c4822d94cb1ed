// tidelock, through what its README shows. In its worker when `thread` is 'worker'.

import { open as openDatabase } from 'tidelock'

let loaded

/** Compiles the wasm on this thread, so that no clock runs meanwhile. A worker of tidelock's own belongs to opening. */
export function load({ thread }) {
  if (thread !== 'worker') {
    loaded ??= openDatabase({ name: 'load', storage: 'memory' }).then((db) => db.close())
  }
  return loaded
}

/** An adapter over a new (or, when durable, the existing) database; `storage` and `durability` as in tidelock's own options. */
export async function open({ name, durable, thread = 'current', storage, durability }) {
  const options = durable
    ? { name, thread, storage, durability, snapshots: false }
    : { name: `bench-${crypto.randomUUID()}`, thread, storage: 'memory' }
  const db = await openDatabase(options)
  return {
    exec: (sql) => db.exec(sql),
    insertMany: (sql, rows) => db.runMany(sql, rows),
    all: (sql, params) => db.query(sql, params),
    async points(sql, ids) {
      const found = []
      for (const id of ids) found.push(await db.get(sql, [id]))
      return found
    },
    async updates(sql, ids) {
      for (const id of ids) await db.run(sql, [id])
    },
    atOnce: (sql, ids) => Promise.all(ids.map((id) => db.run(sql, [id]))),
    /** Calls `onChange` with the first result of a query, and after each change of it. */
    async follow(sql, onChange) {
      for await (const _ of db.live(sql).changes({ key: 'id' })) onChange()
    },
    close: () => db.close(),
  }
}
