import { open } from 'tidelock'

async function main() {
  const thread = new URLSearchParams(location.search).get('thread') ?? 'current'
  const db = await open({ name: 'packaging', thread })
  await db.exec('CREATE TABLE IF NOT EXISTS visits (id INTEGER PRIMARY KEY, page TEXT NOT NULL)')
  await db.run('INSERT INTO visits (page) VALUES (?)', ['start'])
  const rows = await db.query('SELECT count(*) AS visits, max(page) AS page FROM visits')
  await db.close()
  return { rows, isolated: crossOriginIsolated }
}

main().then(
  (result) => report({ result }),
  (error) => report({ error: String(error?.stack ?? error) }),
)

function report(outcome) {
  window.outcome = outcome
}
