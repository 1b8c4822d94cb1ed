// A table that notes in which order things were written.

/** A database with such a table; `write(on, what)` adds a row, on the database or on a transaction, `written()` gives them all. */
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

/** What a promise rejected with, as it is. */
export const aborted = (promise) =>
  promise.then(
    () => undefined,
    (reason) => reason,
  )

/** A promise with its ends in the hand. */
export function deferred() {
  const parts = {}
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }))
  return parts
}
