// A program ends by itself when only its database is open, and not before a call has settled.
import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const entry = fileURLToPath(new URL('../../pkg-js/dist/index.js', import.meta.url))
const folder = mkdtempSync(path.join(tmpdir(), 'tidelock-ending-'))
after(() => rmSync(folder, { recursive: true, force: true }))

/** Runs a program to its end → what it printed. It is killed, and the test fails, when it doesn't end. */
function ending(program, options) {
  const code = `
    import { open } from ${JSON.stringify(entry)}
    const options = ${JSON.stringify(options)}
    ${program}
    process.on('exit', () => console.log('ended'))
  `
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', code], {
    encoding: 'utf8',
    timeout: 60_000,
  })
  assert.equal(signal, null, `It was still running: ${stdout} ${stderr}`)
  assert.equal(status, 0, stderr)
  assert.match(stdout, /ended$/m)
  return stdout
}

const kinds = {
  file: { name: 'ending', storage: 'file', path: path.join(folder, 'db') },
  memory: { name: 'ending', storage: 'memory' },
}

for (const [kind, options] of Object.entries(kinds)) {
  test(`with storage '${kind}': an open database, an idle live query and a listener let Node end`, () => {
    const program = `
      const db = await open(options)
      await db.exec('CREATE TABLE IF NOT EXISTS t (a)')
      db.addEventListener('health', () => {})
      await db.live('SELECT a FROM t').refresh()
    `
    ending(program, options)
  })

  test(`with storage '${kind}': a trap leaves nothing that keeps Node running`, () => {
    const program = `
      const { instantiate } = WebAssembly
      let trapped = false
      const trap = () => {
        throw new WebAssembly.RuntimeError('unreachable')
      }
      WebAssembly.instantiate = (module, imports) => {
        for (const [name, each] of Object.entries(imports.js ?? {}))
          if (typeof each === 'function') imports.js[name] = (...args) => (trapped ? trap() : each(...args))
        return instantiate(module, imports)
      }
      const db = await open(options)
      trapped = true
      const failed = await db.query('SELECT 1 + 1').catch((error) => error)
      console.log(failed.code, db.closed)
    `
    assert.match(ending(program, options), /^(internal|closed|out_of_memory) true$/m)
  })
}

test('an app may have many listeners of one event', () => {
  const program = `
    const db = await open(options)
    for (let i = 0; i < 20; i++) db.addEventListener('close', () => {})
    process.on('warning', ({ name }) => console.log('warned', name))
    await db.close()
  `
  assert.equal(ending(program, kinds.memory), 'ended\n')
})

test("what a commit of durability 'deferred' left to store is stored before Node ends", () => {
  const options = { ...kinds.file, path: path.join(folder, 'deferred'), durability: 'deferred' }
  const write = "const db = await open(options); await db.exec('CREATE TABLE t (a); INSERT INTO t VALUES (1)')"
  ending(write, options)
  assert.match(
    ending("const db = await open(options); console.log(await db.query('SELECT a FROM t'))", options),
    /a: 1/,
  )
})

test('a call that waits keeps Node running, also between two tries of a request', async () => {
  const server = createServer((_, response) => response.writeHead(503, { 'retry-after': '2' }).end())
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  server.close()
  const migrations = [{ version: '1', name: 't', up: 'CREATE TABLE t (id INTEGER PRIMARY KEY)' }]
  // No server listens there any more: each try fails, and the next one comes after a pause of seconds.
  const remote = { url: `http://127.0.0.1:${port}`, key: 'k', tables: ['t'], retries: 2 }
  const program = `
    const db = await open(options)
    console.log(await db.sync.pull({ mode: 'merge' }).catch(({ code }) => code))
  `
  assert.match(ending(program, { ...kinds.memory, migrations, remote }), /^sync_network$/m)
})

test('sync.ready keeps Node running until the remote answers', async () => {
  let requests = 0
  const server = createServer((_, response) => {
    requests++
    const isUp = requests > 4
    response.writeHead(isUp ? 200 : 503, { 'content-type': 'application/json', 'content-range': '*/0' })
    response.end(isUp ? '[]' : '{}')
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const program = `
    import { open } from ${JSON.stringify(entry)}
    const remote = { url: 'http://127.0.0.1:${server.address().port}', key: 'k', tables: ['t'], retries: 0 }
    const migrations = [{ version: '1', name: 't', up: 'CREATE TABLE t (id INTEGER PRIMARY KEY)' }]
    const db = await open({ name: 'ready', storage: 'memory', mode: 'cloud', remote, migrations, onWarning() {} })
    await db.sync.ready
    console.log('ready')
  `
  try {
    const args = ['--input-type=module', '--eval', program]
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 60_000 })
    assert.match(stdout, /^ready$/m)
    assert.ok(requests > 4)
  } finally {
    server.closeAllConnections()
    server.close()
  }
})
