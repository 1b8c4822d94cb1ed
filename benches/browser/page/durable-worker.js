// The peers that store, each on the thread that its documentation advises, a worker, and as it comes: awaited one-row updates, timed
// here, without the way to the page. A message { name, updates } is answered by { ms } or { error }.

const peers = '/peers/'

async function sahpool() {
  const { default: init } = await import(`${peers}@sqlite.org/sqlite-wasm/dist/index.mjs`)
  const pool = await (await init()).installOpfsSAHPoolVfs({ name: 'bench-sahpool', clearOnInit: true })
  const db = new pool.OpfsSAHPoolDb('/bench.db')
  return {
    exec: (sql) => db.exec(sql),
    prepare(sql) {
      const statement = db.prepare(sql)
      return (id) => statement.bind([id]).stepReset()
    },
    sum: () => db.selectValue('SELECT sum(n) FROM counters'),
    async close() {
      db.close()
      await pool.removeVfs()
    },
  }
}

async function waSqlite(build, vfsFile, vfsClass) {
  const WaSQLite = await import(`${peers}@journeyapps/wa-sqlite/src/sqlite-api.js`)
  const { default: factory } = await import(`${peers}@journeyapps/wa-sqlite/dist/${build}.mjs`)
  const vfsModule = await import(`${peers}@journeyapps/wa-sqlite/src/examples/${vfsFile}.js`)
  const module = await factory()
  const api = WaSQLite.Factory(module)
  const vfs = await vfsModule[vfsClass].create(`bench-${crypto.randomUUID()}`, module)
  api.vfs_register(vfs, true)
  const db = await api.open_v2('bench.db')
  let statements
  return {
    exec: (sql) => api.exec(db, sql),
    async prepare(sql) {
      statements = api.statements(db, sql)
      const { value: statement } = await statements.next()
      return async (id) => {
        api.bind(statement, 1, id)
        await api.step(statement)
        await api.reset(statement)
      }
    },
    async sum() {
      await statements.return()
      let sum
      await api.exec(db, 'SELECT sum(n) FROM counters', ([value]) => {
        sum = value
      })
      return sum
    },
    async close() {
      await api.close(db)
      await vfs.close?.()
    },
  }
}

const engines = {
  'official sahpool': sahpool,
  'wa-sqlite AHP': () => waSqlite('wa-sqlite', 'AccessHandlePoolVFS', 'AccessHandlePoolVFS'),
  'wa-sqlite IDB': () => waSqlite('wa-sqlite-async', 'IDBBatchAtomicVFS', 'IDBBatchAtomicVFS'),
}

async function round({ name, updates }) {
  const engine = await engines[name]()
  await engine.exec('CREATE TABLE counters (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)')
  await engine.exec(
    'WITH RECURSIVE ids(id) AS (SELECT 0 UNION ALL SELECT id + 1 FROM ids WHERE id < 999) INSERT INTO counters SELECT id, 0 FROM ids',
  )
  const update = await engine.prepare('UPDATE counters SET n = n + 1 WHERE id = ?')
  const start = performance.now()
  for (let i = 0; i < updates; i++) await update(i)
  const ms = performance.now() - start
  const sum = Number(await engine.sum())
  await engine.close()
  if (sum !== updates) throw new Error(`${sum} updates instead of ${updates}`)
  return ms
}

addEventListener('message', async ({ data }) => {
  try {
    postMessage({ ms: await round(data) })
  } catch (error) {
    postMessage({ error: `${data.name}: ${error?.stack ?? error}` })
  }
})
