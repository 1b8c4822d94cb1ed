// What encryption costs: small commits, 16 MB in one commit, a snapshot of them, and opening. Each plain and encrypted; the data
// doesn't compress.

import { open } from 'tidelock'

const commits = 200
const rows = 256
const rowBytes = 64 * 1024

/** By name: a function that runs one round and returns milliseconds by step. */
export const encryption = {
  plain: () => round(undefined),
  encrypted: () => round({ passphrase: 'as long as it takes' }),
}

async function round(secret) {
  const options = { name: `bench-${crypto.randomUUID()}`, encryption: secret, snapshots: { intervalMs: 2 ** 31 } }
  const ms = {}
  const timed = async (step, work) => {
    const start = performance.now()
    const result = await work()
    ms[step] = performance.now() - start
    return result
  }
  let db = await timed('make', () => open(options))
  await db.exec('CREATE TABLE small (n INTEGER); INSERT INTO small VALUES (0); CREATE TABLE large (b BLOB)')
  await timed('small commits', async () => {
    for (let i = 0; i < commits; i++) await db.run('UPDATE small SET n = n + 1')
  })
  ms['small commits'] /= commits
  await timed('16 MB commit', () =>
    db.exec(`WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})
      INSERT INTO large SELECT randomblob(${rowBytes}) FROM n`),
  )
  await timed('16 MB snapshot', () => db.snapshots.create())
  await db.close()
  db = await timed('16 MB open', () => open(options))
  const { n } = await db.get('SELECT count(*) AS n FROM large')
  if (n !== rows) throw new Error(`${n} rows instead of ${rows}`)
  await timed('rekey', () => db.rekey({ passphrase: 'another one' }))
  await db.close()
  await new Promise((resolve, reject) => {
    const request = indexedDB.deleteDatabase(`tidelock/${options.name}`)
    request.onsuccess = resolve
    request.onerror = () => reject(request.error)
  })
  return ms
}
