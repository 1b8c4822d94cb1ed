// What encryption costs tidelock: small commits, 16 MB in one commit, a snapshot of them, and opening. The data doesn't compress.

const commits = 200
const largeRows = 256
const rowBytes = 64 * 1024
const work = {
  make: 'making a database',
  small: 'a small commit',
  commit: '16 MB in one commit',
  snapshot: 'a snapshot of 16 MB',
  open: 'opening 16 MB',
  rekey: 'changing the key',
}

export const encryption = {
  title: 'Encryption',
  fresh: true,
  engines: ['tidelock-relaxed'],
  steps: Object.fromEntries(
    Object.entries(work).flatMap(([step, label]) => [
      [`${step}Plain`, `${label}, plain`],
      [`${step}Sealed`, `${label}, encrypted`],
    ]),
  ),
  contests: [],
  ratios: Object.fromEntries(
    Object.entries(work).map(([step, label]) => [
      `${label}: encrypted to plain`,
      { of: `${step}Sealed`, to: `${step}Plain` },
    ]),
  ),

  async round({ scale, note }) {
    await once('Plain', undefined, scale, note)
    await once('Sealed', { passphrase: 'as long as it takes' }, scale, note)
  },
}

async function once(kind, secret, scale, note) {
  const { open } = await import('tidelock')
  const rows = Math.max(1, Math.round(largeRows * scale))
  const small = Math.max(2, Math.round(commits * scale))
  const options = { name: `bench-${crypto.randomUUID()}`, encryption: secret, snapshots: { intervalMs: 2 ** 31 } }
  const timed = async (step, work, times = 1) => {
    const start = performance.now()
    const result = await work()
    note(`${step}${kind}`, (performance.now() - start) / times)
    return result
  }
  let db = await timed('make', () => open(options))
  await db.exec('CREATE TABLE small (n INTEGER); INSERT INTO small VALUES (0); CREATE TABLE large (b BLOB)')
  await timed(
    'small',
    async () => {
      for (let i = 0; i < small; i++) await db.run('UPDATE small SET n = n + 1')
    },
    small,
  )
  await timed('commit', () =>
    db.exec(`WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})
      INSERT INTO large SELECT randomblob(${rowBytes}) FROM n`),
  )
  await timed('snapshot', () => db.snapshots.create())
  await db.close()
  db = await timed('open', () => open(options))
  const { n } = await db.get('SELECT count(*) AS n FROM large')
  if (n !== rows) throw new Error(`${n} rows instead of ${rows}`)
  await timed('rekey', () => db.rekey({ passphrase: 'another one' }))
  await db.close()
  await new Promise((resolve, reject) => {
    const request = indexedDB.deleteDatabase(`tidelock/${options.name}`)
    request.onsuccess = resolve
    request.onerror = () => reject(request.error)
  })
}
