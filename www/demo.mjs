// The demo: a real PostgreSQL and PostgREST with a wholesale pantry's data, and a page that lives on it.
//
//   node www/demo.mjs [--port N]                starts it and prints its address, until Ctrl-C
//   node www/demo.mjs --check [--shots FOLDER]  drives it in headless Chromium and exits with 0 or 1
import { fileURLToPath } from 'node:url'
import { build } from 'vite'
import { serve } from '../tests/e2e/serve.mjs'
import { checkedThreads, demoOptions } from './demo-options.mjs'

const here = (relative) => fileURLToPath(new URL(relative, import.meta.url))

const options = demoOptions()

/** What to undo at the end, the last first. Everything that is started puts its end here. */
const cleanups = []
let ending
function end() {
  ending ??= (async () => {
    while (cleanups.length > 0)
      await cleanups
        .pop()()
        .catch((error) => console.error(error))
  })()
  return ending
}
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
]) {
  process.on(signal, () => end().then(() => process.exit(code)))
}

async function startRemote() {
  const { startRemote } = await import('../tests/remote/index.mjs')
  const starting = startRemote({ seed: 'shop', schemas: ['public', 'docs'] })
  cleanups.push(async () => (await starting.catch(() => undefined))?.stop())
  return starting
}

async function startPage(files, port) {
  const serving = serve({ folders: { '/': here('./dist') }, files, port })
  const server = await serving.catch((error) => {
    if (error.code !== 'EADDRINUSE' && error.code !== 'EACCES') throw error
    console.error(`demo: port ${port} can't be used: choose another one with --port, or none`)
    process.exit(1)
  })
  cleanups.push(() => server.close())
  return server
}

/** Starts a page and a remote of its own → `{ url, remote }`. */
async function start(port) {
  const files = {}
  // First, so that a port that is taken is reported at once.
  const { url } = await startPage(files, port)
  const remote = await startRemote()
  files['/remote.json'] = JSON.stringify({ url: remote.url, key: remote.anonKey })
  return { url, remote }
}

try {
  const started = performance.now()
  const ports = options.check ? checkedThreads.map((_, at) => (at === 0 ? options.port : 0)) : [options.port]
  const [, ...demos] = await Promise.all([build({ root: here('.'), logLevel: 'warn' }), ...ports.map(start)])
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  if (options.check) {
    const { check } = await import('./check.mjs')
    process.exitCode = await check({ demos, shots: options.shots, cleanups, startedIn: seconds })
    await end()
  } else {
    const [{ url, remote }] = demos
    console.log(`The remote  ${remote.url}/rest/v1  (PostgreSQL and PostgREST, up in ${seconds} s)`)
    console.log(`The demo    ${url}/  (go to Sync, press “Pull now”)`)
    console.log('Both stay up until Ctrl-C. The command line reaches this remote, too, from another terminal:')
    console.log(`  export SUPABASE_URL=${remote.url} SUPABASE_SECRET_KEY=${remote.secretKey}`)
    console.log('  npx tidelock pull --all --out shop.sqlite')
  }
} catch (error) {
  if (!ending) {
    console.error(error)
    process.exitCode = 1
  }
  await end()
}
