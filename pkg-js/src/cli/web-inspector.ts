import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer, type Request, type Response } from 'node:http'
import { fileURLToPath } from 'node:url'
import type { Database, TidelockError } from './package.js'

// Serves the inspector for one database to the browser of this machine.

/** The package's folder of scripts, beside which this one is. */
const dist = fileURLToPath(new URL('../', import.meta.url))

const policy = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "style-src 'self'",
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ')

const headers = {
  'cache-control': 'no-store',
  'content-security-policy': policy,
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  // The address has the token.
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
}

const types: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  json: 'application/json',
  wasm: 'application/wasm',
}

const page = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <meta name="color-scheme" content="light dark" />
    <title>tidelock inspect</title>
    <link rel="icon" href="data:," />
    <link rel="stylesheet" href="page.css" />
    <script type="module" src="page.js"></script>
  </head>
  <body>
    <header>
      <h1>tidelock inspect</h1>
      <span id="note">Changes stay in this page.</span>
      <button id="save" type="button" disabled>Download as a file</button>
    </header>
    <main><p id="state" role="status">Loading…</p></main>
  </body>
</html>
`

const style = `
html, body { height: 100%; }
body { margin: 0; display: flex; flex-direction: column; font: 14px/1.5 system-ui, sans-serif; }
header { display: flex; flex-wrap: wrap; align-items: center; gap: 4px 14px; padding: 6px 12px; }
h1 { font-size: 15px; margin: 0; overflow-wrap: anywhere; }
#note { flex: 1; }
main { flex: 1; min-height: 0; display: flex; flex-direction: column; }
#state { padding: 12px; }
#state:empty { display: none; }
tidelock-inspector { flex: 1; min-height: 0; }
`

const script = `
import { open } from './tidelock/index.js'
import './tidelock/integrations/inspector/index.js'

const get = (id) => document.getElementById(id)
async function read(path) {
  const response = await fetch(path)
  if (response.ok) return response
  throw Object.assign(new Error(), await response.json())
}

// The history is that of the folder, whose states the server opens. A restore changes the copy in this page.
function withHistory(db) {
  const stateOf = async (point) =>
    (await read('./state?' + new URLSearchParams(typeof point === 'string' ? { id: point } : point))).blob()
  const refuse = async () => {
    throw new Error('The folder stays as it is: npx tidelock snapshot and npx tidelock verify work on its snapshots')
  }
  Object.assign(db.snapshots, {
    history: async () => (await read('./history')).json(),
    export: stateOf,
    restore: async (point) => db.import(await stateOf(point), { force: true }),
    create: refuse,
    verify: refuse,
    delete: refuse,
  })
}

try {
  const { name, path, isFolder } = await (await fetch('./info.json')).json()
  document.title = get('state').textContent = path
  get('state').parentElement.previousElementSibling.firstElementChild.textContent = path
  const file = await (await fetch('./database')).arrayBuffer()
  const db = await open({ name, storage: 'memory', ...(file.byteLength > 0 ? { seed: file } : {}) })
  if (isFolder) withHistory(db)
  get('note').textContent =
    (isFolder ? 'A copy in memory, with the history of the folder. ' : 'A copy in memory. A file has no history, a folder has. ') +
    'Changes stay in this page.'
  const inspector = document.createElement('tidelock-inspector')
  inspector.database = db
  get('state').replaceChildren()
  document.querySelector('main').append(inspector)
  get('save').disabled = false
  get('save').addEventListener('click', async () => {
    const link = document.createElement('a')
    link.href = URL.createObjectURL(new Blob([await db.export()], { type: 'application/vnd.sqlite3' }))
    link.download = name + '.sqlite'
    link.click()
    setTimeout(() => URL.revokeObjectURL(link.href), 60000)
  })
} catch (error) {
  get('state').setAttribute('role', 'alert')
  get('state').textContent = [error.message, error.hint].filter(Boolean).join('. ')
}
`

/** The database to show, which stays open meanwhile. */
export interface ServedDatabase {
  readonly name: string
  readonly path: string
  /** Whether it is a folder, with its history. */
  readonly isFolder: boolean
  readonly db: Database
}

export interface WebInspector {
  readonly url: string
  close(): Promise<void>
}

/**
 * Serves a database on the loopback address. Other users and pages of this machine need the token in the address; a page of another site
 * that makes its name resolve to this machine is refused by the Host.
 */
export async function serveInspector(database: ServedDatabase, port: number): Promise<WebInspector> {
  const token = randomBytes(18).toString('base64url')
  const files = filesOf(database)
  const server = createServer(
    (request, response) => void answer(request, response, files, token, server.address().port),
  )
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  return {
    url: `http://127.0.0.1:${server.address().port}/${token}/`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

type Content = string | Uint8Array
type Serve = (query: URLSearchParams) => Content | Promise<Content>
type ServedFiles = ReadonlyMap<string, Serve>

async function answer(
  request: Request,
  response: Response,
  files: ServedFiles,
  token: string,
  port: number,
): Promise<void> {
  const refuse = (status: number, text: string) =>
    response.writeHead(status, { ...headers, 'content-type': 'text/plain' }).end(text)
  const { host } = request.headers
  if (host !== `127.0.0.1:${port}` && host !== `localhost:${port}`) return void refuse(421, 'Unknown host')
  if (request.method !== 'GET' && request.method !== 'HEAD') return void refuse(405, 'Only GET')
  const [path = '', query] = (request.url ?? '').split('?')
  const file = path.startsWith(`/${token}/`) ? files.get(path.slice(token.length + 2) || 'index.html') : undefined
  if (file === undefined) return void refuse(404, 'Not found')
  const ending = path.endsWith('/') ? 'html' : (path.split('.').at(-1) ?? '')
  const type = types[ending] ?? 'application/octet-stream'
  try {
    const content = await file(new URLSearchParams(query))
    response.writeHead(200, { ...headers, 'content-type': type }).end(request.method === 'HEAD' ? undefined : content)
  } catch (error) {
    const { message, code, hint } = error as TidelockError
    response
      .writeHead(500, { ...headers, 'content-type': 'application/json' })
      .end(JSON.stringify({ message, code, hint }))
  }
}

/** All that is served, by path. No path of a request is ever one of the file system. */
function filesOf({ name, path, isFolder, db }: ServedDatabase): ServedFiles {
  const files = new Map<string, Serve>([
    ['index.html', () => page],
    ['page.css', () => style],
    ['page.js', () => script],
    ['info.json', () => JSON.stringify({ name, path, isFolder })],
    ['database', () => db.export()],
    ['history', async () => JSON.stringify(await db.snapshots.history())],
    ['state', (query) => stateOf(db, query)],
  ])
  for (const folder of ['', 'integrations/inspector/'])
    for (const file of readdirSync(dist + folder))
      if (/\.(js|wasm)$/.test(file)) files.set(`tidelock/${folder}${file}`, () => readFileSync(dist + folder + file))
  return files
}

/** The file of a snapshot (`id`), or of a point of the history (`at`, `lsn`). */
async function stateOf(db: Database, query: URLSearchParams): Promise<Uint8Array> {
  const { id, at = '', lsn } = Object.fromEntries(query)
  const file = await db.snapshots.export(id ?? { at, lsn: lsn === undefined ? undefined : Number(lsn) })
  return new Uint8Array(await file.arrayBuffer())
}
