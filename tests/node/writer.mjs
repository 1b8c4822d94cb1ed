// node writer.mjs OPTIONS: opens a database, prints a line, and writes until it is killed. Prints the number of each acknowledged commit,
// one per line. Each commit has two rows.
import { open } from '../../pkg-js/dist/index.js'

const { rows = Infinity, ...options } = JSON.parse(process.argv[2])
const db = await open({ onWarning: () => {}, ...options })
await db.exec('CREATE TABLE IF NOT EXISTS t (n INTEGER, half INTEGER, pad BLOB)')
const [{ last }] = await db.query('SELECT coalesce(max(n), 0) AS last FROM t')
process.stdout.write('open\n')
process.on('message', async () => {
  await db.close()
  process.disconnect()
})
for (let n = last + 1; n <= last + rows; n++) {
  await db.transaction(async (tx) => {
    await tx.run('INSERT INTO t VALUES (?, 1, randomblob(200))', [n])
    if (n % 5 === 0) await new Promise((resolve) => setTimeout(resolve))
    await tx.run('INSERT INTO t VALUES (?, 2, randomblob(200))', [n])
  })
  process.stdout.write(`${n}\n`)
  if (n % 97 === 0) await db.snapshots.create()
  if (n % 61 === 0) await db.run('DELETE FROM t WHERE n < ?', [n - 50])
}
