import { open } from 'tidelock'

/** Opens the database with the name and the thread of the address, writes, reads, and puts what came of it into `window.outcome`. */
export function visit() {
  // Once a page: React calls effects twice in development.
  visiting ??= outcomeOf(location.search)
  visiting.then((outcome) => {
    window.outcome = outcome
  })
}

let visiting

/** Returns what comes of a visit, by the query of its address. */
export function outcomeOf(search) {
  return visits(search).catch((error) => ({ error: String(error?.stack ?? error) }))
}

async function visits(search) {
  const { name, thread } = Object.fromEntries(new URLSearchParams(search))
  // The option `remote` loads a part of the wasm and a module, health() another part; nothing is requested from the remote.
  const remote = { url: 'http://127.0.0.1:9', key: 'none', tables: ['visits'] }
  const db = await open({ name, thread, remote })
  await db.exec('CREATE TABLE IF NOT EXISTS visits (id INTEGER PRIMARY KEY, page TEXT NOT NULL)')
  await db.run('INSERT INTO visits (page) VALUES (?)', ['start'])
  const { visits } = await db.get('SELECT count(*) AS visits FROM visits')
  const { status } = await db.health()
  await db.close()
  return { visits, status, isolated: crossOriginIsolated }
}
