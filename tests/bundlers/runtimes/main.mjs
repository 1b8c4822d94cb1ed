// Run by each runtime: prints, as JSON, what it finds in both storages. The folder is the first argument.
import { createRequire } from 'node:module'
import process from 'node:process'
import { open } from 'tidelock'

const schema = 'CREATE TABLE IF NOT EXISTS visits (id INTEGER PRIMARY KEY); INSERT INTO visits DEFAULT VALUES'

async function visits(options) {
  const db = await open({ name: 'runtimes', ...options })
  await db.exec(schema)
  const { visits } = await db.get('SELECT count(*) AS visits FROM visits')
  const { status } = await db.health()
  await db.close()
  return { visits, status }
}

const memory = await visits({ storage: 'memory' })
const file = await visits({ storage: 'file', path: process.argv[2] })
const unnamed = await open({ name: 'runtimes' }).then(
  () => 'opened',
  (error) => error.code,
)
const manifest = createRequire(import.meta.url)('tidelock/package.json')
console.log(JSON.stringify({ memory, file, unnamed, package: manifest.name }))
