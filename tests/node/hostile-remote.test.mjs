// Remotes, storages and seeds that redirect, respond without end, or echo credentials.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, afterEach, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { doctor, healthResponse, open, schemaFromRemote, uploadTarget } from '../../pkg-js/dist/index.js'
import { runCommand } from './command-line.mjs'

const base = mkdtempSync(path.join(tmpdir(), 'tidelock-hostile-'))
after(() => rmSync(base, { recursive: true, force: true }))

const servers = []
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
})

/** Starts a server with the handler `(request, response)` → `{ url, requests }`. */
async function serve(answer) {
  const requests = []
  const server = createServer((request, response) => {
    requests.push(request)
    request.resume().on('end', () => answer(request, response))
  })
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { url: `http://127.0.0.1:${server.address().port}`, requests }
}

const json = (response, value, status = 200) =>
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))

let databases = 0
const openWith = (options) =>
  open({
    name: `hostile-${++databases}`,
    storage: 'memory',
    snapshots: false,
    migrations: [{ version: '1', name: 'schema', up: 'CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)' }],
    onWarning: () => {},
    ...options,
  })

const remote = (url, more) => ({ url, key: 'the-key-of-this-project', tables: ['notes'], retries: 0, ...more })

/** Returns the error of a call in all forms in which it can be shown. */
async function failure(call) {
  const error = await call.then(
    () => assert.fail('it must fail'),
    (thrown) => thrown,
  )
  return { error, shown: `${error} ${JSON.stringify(error)} ${error.cause} ${error.cause?.message} ${error.stack}` }
}

/** Runs a command line → its output. */
const run = (args, env) => runCommand(args, { cwd: mkdtempSync(path.join(base, 'work-')), env })

test('the target of a redirect shows no secret of the request', async () => {
  const headers = { 'x-proxy': 'HeaderSecret-1234' }
  const there = await serve((request, response) => {
    const { apikey, authorization = '', 'x-proxy': proxy = '' } = request.headers
    const secrets = [apikey, authorization.replace('Bearer ', ''), proxy].filter(Boolean).join('/')
    const signature = new URL(request.url, 'http://a').searchParams.get('sig') ?? ''
    response.writeHead(302, { location: `https://${proxy || 'x'}.example/${secrets}/${signature}/end` }).end()
  })
  const accessToken = () => 'token-of-the-user-5678'
  const endpoint = remote(there.url, { accessToken, headers })
  const db = await openWith({ remote: endpoint })
  const seen = [
    (await failure(db.sync.pull())).shown,
    JSON.stringify(await db.health()),
    JSON.stringify(await doctor({ remote: endpoint })),
    (await failure(openWith({ seed: `${there.url}/seed.sqlite?sig=signature-of-the-url` }))).shown,
  ]
  await db.close()
  for (const shown of seen) {
    assert.match(shown, /redirects to/)
    assert.doesNotMatch(shown, /headersecret|token-of-the-user|signature-of-the-url/i)
    assert.ok(!shown.includes(endpoint.key), shown)
  }
})

test('no request follows a redirect: the error names the target', async () => {
  const rows = [{ id: 1, text: 'from the other host' }]
  const other = await serve((_, response) => json(response, rows))
  for (const status of [300, 301, 303, 308]) {
    const there = await serve((request, response) =>
      response
        .writeHead(status, {
          location: `${other.url}${request.url}${request.url.includes('?') ? '&' : '?'}session=s3cr3t`,
        })
        .end(),
    )
    const db = await openWith({ remote: remote(there.url) })
    try {
      await db.run("INSERT INTO notes VALUES (7, 'mine')")
      for (const call of ['push', 'pull']) {
        const { error, shown } = await failure(db.sync[call]())
        assert.equal(error.code, 'sync_protocol', call)
        assert.match(error.message, new RegExp(`^The remote redirects to ${other.url}/rest/v1/`))
        assert.match(error.hint, new RegExp(`Set remote.url to ${other.url}:`))
        assert.doesNotMatch(shown, /s3cr3t/)
      }
      assert.equal((await db.sync.pending()).length, 1, 'what was redirected is not pushed')
      assert.deepEqual(await db.query('SELECT id FROM notes'), [{ id: 7 }])
    } finally {
      await db.close()
    }
    const following = (url, init) => fetch(url, { ...init, redirect: 'follow' })
    const own = await openWith({ remote: remote(there.url, { fetch: following }) })
    assert.equal((await failure(own.sync.pull())).error.code, 'sync_protocol', 'a fetch that follows')
    assert.deepEqual(await own.query('SELECT id FROM notes'), [])
    await own.close()
    other.requests.length = 0

    const { tables: _, ...asked } = remote(there.url)
    const ofSchema = (await failure(schemaFromRemote(asked))).error
    assert.match(ofSchema.message, new RegExp(`redirects to ${other.url}/`))
    assert.match(ofSchema.hint, new RegExp(`^Set remote.url to ${other.url}: `))
    const { checks } = await doctor({ remote: remote(there.url) })
    const looked = checks.filter(({ name }) => /^(remote|table notes)$/.test(name))
    assert.deepEqual(
      looked.map(({ ok, message }) => [ok, message.includes(`redirects to ${other.url}/rest/v1/notes`)]),
      [
        [false, true],
        [false, true],
      ],
    )
    const seeded = await failure(openWith({ seed: `${there.url}/seed.sqlite?a` }))
    assert.equal(seeded.error.code, 'sync_protocol')
    assert.match(seeded.error.message, new RegExp(`redirects to ${other.url}/seed.sqlite$`))
    const target = uploadTarget({ url: () => `${there.url}/backup?X-Signature=s1gn4ture` })
    const kept = await openWith({ snapshots: { retries: 0, targets: [target] }, storage: 'memory' })
    await kept.snapshots.create()
    const [{ lastError }] = (await kept.snapshots.status()).targets
    assert.equal(lastError.code, 'sync_protocol')
    assert.match(lastError.message, new RegExp(`redirects to ${other.url}/backup$`))
    await kept.close()
    const env = { SUPABASE_URL: there.url, SUPABASE_SECRET_KEY: 'sb_secret_of_the_project' }
    for (const args of [
      ['pull', '--tables', 'notes', '--pk', 'notes=id'],
      ['pull', '--all'],
      ['schema', 'pull', '--stdout'],
      ['doctor', '--tables', 'notes'],
    ]) {
      const { code, out, err } = await run(args, env)
      assert.equal(code, 1, args.join(' '))
      assert.match(out + err, new RegExp(`redirects to ${other.url}/`), args.join(' '))
      assert.match(out + err, new RegExp(`Pass --url ${other.url}:`), args.join(' '))
    }
    assert.deepEqual(other.requests, [], 'nothing went to the other host')
  }
})

/** Sends `megabytes` MB, compressed with gzip to few bytes, as fast as the client reads. */
function flood(response, megabytes, start = '[{"id":1,"text":"') {
  const piece = gzipSync(Buffer.alloc(1_000_000, 'x'))
  response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' })
  response.write(gzipSync(start))
  const write = (left) => {
    if (left === 0) return response.end()
    response.write(piece, (error) => error ?? write(left - 1))
  }
  write(megabytes)
}

test('an endless response is read up to the limit, and the database stays usable', async () => {
  const sizes = []
  const there = await serve((request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://x')
    if (pathname.endsWith('/tidelock_state')) return json(response, {}, 404)
    sizes.push(searchParams.get('limit'))
    flood(response, 2000)
  })
  const before = process.memoryUsage().rss
  const db = await openWith({ remote: remote(there.url, { maxResponseBytes: 2_000_000 }) })
  const { error } = await failure(db.sync.pull())
  assert.equal(error.code, 'sync_protocol')
  assert.match(error.message, /larger than remote\.maxResponseBytes/)
  assert.deepEqual([error.details.limit, error.details.table], [2_000_000, 'notes'])
  assert.ok(error.hint)
  assert.equal(sizes.at(-1), '1', 'down to one row')
  await db.run("INSERT INTO notes VALUES (7, 'mine')")
  await db.close()

  const { tables: _, ...asked } = remote(there.url, { maxResponseBytes: 2_000_000 })
  assert.equal((await failure(schemaFromRemote(asked))).error.code, 'sync_protocol')
  const { checks } = await doctor({ remote: remote(there.url, { maxResponseBytes: 2_000_000 }) })
  assert.match(checks.find(({ name }) => name === 'table notes').message, /exceeds remote\.maxResponseBytes/)
  const seeded = await failure(openWith({ seed: `${there.url}/seed.sqlite`, maxBytes: 2_000_000 }))
  assert.deepEqual([seeded.error.code, seeded.error.details.maxBytes], ['database_too_large', 2_000_000])
  assert.ok(process.memoryUsage().rss - before < 300_000_000, 'it never was in memory')
})

test('a deletion log without end is read up to the limit', async () => {
  let pages = 0
  const there = await serve((request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://x')
    if (!pathname.endsWith('/tidelock_state')) return json(response, [])
    const first = Number(searchParams.get('after') ?? 0) + 1
    if (searchParams.has('since') && ++pages > 100) return json(response, {}, 500)
    const gone = Array.from({ length: 1000 }, (_, at) => [`${first + at}`, 'notes', { id: first + at }, '7'])
    const tables = { notes: { xid: true, tombstones: true } }
    json(response, { version: 1, cluster: 'c', ceiling: '9', tables, gone: searchParams.has('since') ? gone : [] })
  })
  const db = await openWith({ remote: remote(there.url, { maxResponseBytes: 500_000 }) })
  await db.sync.pull()
  await db.run("INSERT INTO notes VALUES (7, 'mine')")
  const { error } = await failure(db.sync.pull())
  assert.equal(error.code, 'sync_protocol')
  assert.match(error.message, /deletion log.*remote\.maxResponseBytes/)
  assert.equal(error.details.limit, 500_000)
  assert.ok(error.hint)
  assert.equal((await db.get('SELECT text FROM notes')).text, 'mine')
  await db.close()
})

test('a page that is too large is requested again with fewer rows', async () => {
  const text = 'x'.repeat(3000)
  const there = await serve((request, response) => {
    const { searchParams } = new URL(request.url, 'http://x')
    const [, after = 0] = /gt\."(\d+)/.exec(searchParams.getAll('or').join()) ?? []
    const rows = Array.from({ length: 300 }, (_, at) => ({ id: at + 1, text })).filter(({ id }) => id > after)
    json(response, rows.slice(0, searchParams.get('limit')))
  })
  const db = await openWith({ remote: remote(there.url, { maxResponseBytes: 200_000 }) })
  const report = await db.sync.pull()
  assert.equal(report.tables[0].inserted, 300)
  await db.close()
})

test('a warning names only some of very many tables', async () => {
  const table = { properties: { id: { type: 'integer', format: 'bigint' } } }
  const definitions = Object.fromEntries(Array.from({ length: 20_000 }, (_, at) => [`table_${at}`, table]))
  const { url } = await serve((request, response) =>
    request.url.includes('tidelock_')
      ? json(response, { code: 'PGRST202', message: 'No' }, 404)
      : json(response, { swagger: '2.0', definitions, paths: {} }),
  )
  const warnings = []
  const { tables: _, ...asked } = remote(url)
  await schemaFromRemote({ ...asked, onWarning: (warning) => warnings.push(warning) })
  assert.deepEqual(
    warnings.map(({ code, message }) => [code, message.length < 2100, /table_0, .*… \(20000 tables\)$/.test(message)]),
    [['table_without_key', true, true]],
  )
})

test('an error response with an endless body is still an error response', async () => {
  const there = await serve((_, response) => {
    response.writeHead(403, { 'content-type': 'text/html' })
    const write = () => response.write(Buffer.alloc(100_000, 'x'), (error) => error ?? write())
    write()
  })
  const db = await openWith({ remote: remote(there.url) })
  const { error } = await failure(db.sync.pull())
  assert.deepEqual([error.code, error.details.status], ['sync_server', 403])
  await db.close()
})

/** Returns every report of a database that contains errors, and its file. */
async function told(db) {
  const health = await db.health()
  const shown = [health, await db.sync.status(), await db.sync.pending(), await db.sync.rejected()]
  const file = Buffer.from(await db.export()).toString('latin1')
  return `${JSON.stringify(shown)} ${await (await healthResponse(db)).text()} ${file}`
}

test('keys, tokens and headers are in no error, no report and no file', async () => {
  const key = 'sb_publishable_of-this-project'
  const token = 'opaque.token.of-this-user'
  const header = 'passphrase-of-the-gateway'
  const secrets = [key, token, header]
  const echo = await serve(({ headers }, response) =>
    json(response, { code: '22000', message: `got ${JSON.stringify(headers)}` }, 400),
  )
  const known = { key, headers: { 'x-gateway': header }, accessToken: async () => token }
  const throwing = (url, init) => Promise.reject(new Error(`${url} ${JSON.stringify(init.headers)}`))
  const unreachable = { fetch: throwing }
  for (const more of [{}, unreachable]) {
    const given = remote(echo.url, { ...known, ...more })
    const db = await openWith({ remote: given })
    await db.run("INSERT INTO notes VALUES (7, 'mine')")
    const events = []
    db.addEventListener('sync', ({ detail }) => events.push(detail))
    const { shown } = await failure(db.sync.pull())
    const pushed = await db.sync.push().then(JSON.stringify, (error) => `${JSON.stringify(error)} ${error.cause}`)
    const { tables: _, ...asked } = given
    const schema = await failure(schemaFromRemote(asked))
    const all = [
      shown,
      pushed,
      schema.shown,
      JSON.stringify(events),
      await told(db),
      JSON.stringify(await doctor({ remote: given })),
    ]
    for (const [at, text] of all.entries())
      for (const secret of secrets) assert.ok(!text.includes(secret), `${secret} in text ${at}: ${text.slice(0, 2000)}`)
    assert.match(shown, /\*\*\*/)
    await db.close()
  }
})

test('credentials that are not allowed in headers are refused before they are sent, without their value', async () => {
  const there = await serve((_, response) => json(response, []))
  const secret = 'first-line-of-a-secret'
  const broken = `${secret}\nsecond-line`
  for (const more of [{ headers: { 'x-key': broken } }, { key: broken }]) {
    const { error, shown } = await failure(openWith({ remote: remote(there.url, more) }))
    assert.equal(error.code, 'invalid_argument')
    assert.ok(!shown.includes(secret), shown)
  }
  const given = remote(there.url, { accessToken: async () => broken })
  const db = await openWith({ remote: given })
  const { error, shown } = await failure(db.sync.pull())
  assert.equal(error.code, 'invalid_argument')
  const all = `${shown} ${await told(db)} ${JSON.stringify(await doctor({ remote: given }))}`
  assert.ok(!all.includes(secret), all.slice(0, 2000))
  assert.deepEqual(
    there.requests.filter(({ headers }) => headers.authorization !== undefined),
    [],
  )
  await db.close()
  assert.throws(() => uploadTarget({ url: () => there.url, headers: { 'x-key': broken } }), {
    code: 'invalid_argument',
  })
})

test('of an error of accessToken only the name is reported', async () => {
  const there = await serve((_, response) => json(response, []))
  class SessionMissing extends Error {
    name = 'SessionMissing'
  }
  const accessToken = async () => {
    throw new SessionMissing('the refresh token s3cr3t-refresh is no longer valid')
  }
  const given = remote(there.url, { accessToken })
  const db = await openWith({ remote: given })
  const { error, shown } = await failure(db.sync.pull())
  assert.deepEqual([error.code, error.cause], ['sync_unauthorized', 'SessionMissing'])
  const all = `${shown} ${await told(db)} ${JSON.stringify(await doctor({ remote: given }))}`
  assert.ok(!all.includes('s3cr3t-refresh'), all.slice(0, 2000))
  await db.close()
})

test('the signature in the URL of a seed or an upload is in no error', async () => {
  const echo = await serve(({ url }, response) =>
    response.writeHead(403).end(`<Error>${url} is no longer valid</Error>`),
  )
  const signature = 's1gn4tur3'
  for (const seed of [
    `${echo.url}/seed.sqlite?sig=${signature}`,
    new URL(`${echo.url}/seed.sqlite?sig=${signature}`),
    `http://user:${signature}@127.0.0.1/seed.sqlite`,
    `http://127.0.0.1:1/seed.sqlite?sig=${signature}`,
    `http://[broken/seed.sqlite?sig=${signature}`,
  ]) {
    const { error, shown } = await failure(openWith({ seed }))
    assert.equal(error.code, 'sync_network', String(seed))
    assert.ok(!shown.includes(signature), shown)
    assert.ok(error.details.url.endsWith('/seed.sqlite'))
  }
  for (const url of [
    () => `${echo.url}/backup?sig=${signature}`,
    () => `http://127.0.0.1:1/backup?sig=${signature}`,
    () => `http://[broken/backup?sig=${signature}`,
    () => Promise.reject(new Error(`no https://storage.example/sign?sig=${signature}`)),
  ]) {
    const target = uploadTarget({ url, headers: { 'x-key': 'passphrase-of-the-storage' } })
    const db = await openWith({ snapshots: { retries: 0, targets: [target] } })
    const events = []
    db.addEventListener('snapshot', ({ detail }) => events.push(detail))
    await db.snapshots.create()
    const response = await (await healthResponse(db)).text()
    const all = JSON.stringify([await db.snapshots.status(), await db.health(), events, response])
    assert.match(all, /"lastError":\{/)
    assert.ok(!all.includes(signature), all)
    await db.close()
  }
})

test('healthResponse shows code and time of errors, and alerts without quoted messages', async () => {
  const there = await serve((_, response) => json(response, { code: '22000', message: 'words of the remote' }, 400))
  const target = uploadTarget({ url: () => `${there.url}/backup` })
  const db = await openWith({ remote: remote(there.url), snapshots: { retries: 0, targets: [target] } })
  await failure(db.sync.pull())
  await db.snapshots.create()
  const [whole, text] = [await db.health(), await (await healthResponse(db)).text()]
  assert.match(JSON.stringify(whole.sync.lastError), /words of the remote/)
  const shown = JSON.parse(text)
  assert.deepEqual(Object.keys(shown.sync.lastError), ['code', 'time'])
  assert.equal(shown.sync.lastError.code, 'sync_rejected')
  assert.ok(Math.abs(Date.parse(shown.sync.lastError.time) - Date.now()) < 60_000)
  assert.deepEqual(
    shown.alerts.map(({ code, message }) => [code, message]),
    [['snapshot_failing', 'Copy to upload']],
  )
  assert.doesNotMatch(text, /words of the remote/)
  const group = await healthResponse({ health: async () => ({ status: 'ok', details: { primary: whole } }) })
  assert.doesNotMatch(await group.text(), /words of the remote/)
  await db.close()
})

test('a public health response has no text of statements', async () => {
  const slow = [{ sql: "SELECT 'Jane Doe'", ms: 900, plan: ['SCAN patients'], at: '2026-01-01T00:00:00.000Z' }]
  const db = { health: async () => ({ status: 'ok', queries: { slow } }) }
  const text = await (await healthResponse(db)).text()
  assert.ok(!text.includes('Jane') && !text.includes('patients'), text)
  assert.equal(JSON.parse(text).queries.slow[0].ms, 900)
})
