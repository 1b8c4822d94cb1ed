// A table that records the order of writes.

/** Opens a database with this table; `write(on, what)` adds a row on the database or a transaction, `written()` returns all rows. */
export async function journal(open) {
  const db = await open()
  await db.exec('CREATE TABLE journal (n INTEGER PRIMARY KEY AUTOINCREMENT, what)')
  const insert = 'INSERT INTO journal (what) VALUES (?)'
  return {
    db,
    insert,
    write: (on, what) => on.run(insert, [what]),
    written: async () => (await db.query('SELECT what FROM journal ORDER BY n')).map(({ what }) => what),
  }
}

/** Returns the error of a promise, unchanged. */
export const aborted = (promise) =>
  promise.then(
    () => undefined,
    (reason) => reason,
  )

/** Returns a promise with its `resolve` and `reject`. */
export function deferred() {
  const parts = {}
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }))
  return parts
}
