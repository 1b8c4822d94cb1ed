// Sync of a native program: the example native-sync, against a real PostgREST, in folders that Node opens, too.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { open } from '../../pkg-js/dist/index.js'
import { startRemote } from '../remote/index.mjs'

const root = path.join(import.meta.dirname, '../..')
const program = path.join(root, 'target/debug/examples/native-sync')
assert.ok(existsSync(program), `${program} is missing: run ./build.sh test tests/crate/sync.test.mjs`)

const base = mkdtempSync(path.join(tmpdir(), 'tidelock-crate-sync-'))
let remote
let folders = 0
const newFolder = () => path.join(base, `notes ${++folders}`)

before(async () => {
  remote = await startRemote({
    seed: `create table notes (id text primary key, body text not null, updated_at timestamptz not null default now());
      create function touch() returns trigger language plpgsql as
        $$ begin new.updated_at = clock_timestamp(); return new; end $$;
      create trigger touch before insert or update on notes for each row execute function touch();`,
  })
})
beforeEach(async () => {
  remote.faults.clear()
  await remote.sql('truncate notes')
})
after(async () => {
  await remote?.stop()
  rmSync(base, { recursive: true, force: true })
})

/** Runs the program → its lines, or its error's text. */
function notes(folder, words = [], env = {}) {
  const settings = {
    SUPABASE_URL: remote.url,
    SUPABASE_PUBLISHABLE_KEY: remote.anonKey,
    NOTES_FOLDER: folder,
    // The program would ask a proxy of this machine.
    NO_PROXY: '127.0.0.1',
  }
  return new Promise((resolve) => {
    execFile(program, words, { env: { ...process.env, ...settings, ...env } }, (error, stdout, stderr) =>
      resolve(error === null ? { lines: stdout.trim().split('\n') } : { failure: stderr.trim() }),
    )
  })
}

/** Opens a folder in this process. */
function openHere(folder, options = {}) {
  return open({
    name: 'notes',
    storage: 'file',
    path: folder,
    onWarning() {},
    migrations: [
      {
        version: '1',
        name: 'notes',
        up: 'CREATE TABLE notes(id TEXT PRIMARY KEY NOT NULL, body TEXT NOT NULL, updated_at TIMESTAMPTZ)',
      },
    ],
    remote: {
      url: remote.url,
      key: remote.anonKey,
      retries: 1,
      tables: [{ table: 'notes', cursor: 'updated_at', deleted: 'compare' }],
      ...options,
    },
  })
}

const bodies = async () => (await remote.sql('select body from notes order by body')).map(({ body }) => body)

test('a program pulls a project, changes rows and sends them, and Node goes on in the same folder', async () => {
  await remote.sql("insert into notes (id, body) select 'remote ' || n, 'remote ' || n from generate_series(1, 2500) n")
  const folder = newFolder()
  const first = await notes(folder, ['ünïcode 🌊', 'tea'])
  assert.deepEqual(
    [first.lines?.[0], first.lines?.at(-1), first.lines?.length],
    ['2500 new, 0 changed', '2 sent', 2504],
  )
  assert.equal((await bodies()).filter((body) => !body.startsWith('remote')).join(), 'tea,ünïcode 🌊')

  const db = await openHere(folder)
  assert.deepEqual(await db.sync.pending(), [])
  await remote.sql("update notes set body = 'changed' where id = 'remote 1'; delete from notes where id = 'remote 2'")
  await db.run("UPDATE notes SET body = 'from Node' WHERE body = 'tea'")
  const { pull, push } = await db.sync.run()
  assert.deepEqual([pull.tables[0].updated, pull.tables[0].deleted, push.tables[0].updated], [1, 1, 1])
  await db.run("INSERT INTO notes(id, body) VALUES ('waits', 'waits')")
  await db.close()

  // It sends what Node has left in the outbox.
  const second = await notes(folder, [])
  assert.deepEqual([second.lines[0], second.lines.at(-1)], ['0 new, 0 changed', '1 sent'])
  assert.ok((await bodies()).includes('waits'))
})

test('a body that is cut once is asked for again, and offline the changes wait', async () => {
  await remote.sql("insert into notes (id, body) values ('1', 'remote')")
  const folder = newFolder()
  remote.faults.add({ method: 'GET', table: 'notes', cut: 0.5 })
  assert.deepEqual((await notes(folder)).lines, ['1 new, 0 changed', '- remote', '0 sent'])
  remote.faults.add({ drop: true, times: 100 })
  const { lines } = await notes(folder, ['local'])
  assert.deepEqual(lines.slice(0, 3), [
    'offline: The remote could not be reached while syncing notes',
    '- local',
    '- remote',
  ])
  assert.match(lines[3], /^1 wait: The remote could not be reached/)
  remote.faults.clear()
  assert.equal((await notes(folder)).lines.at(-1), '1 sent')
  assert.deepEqual(await bodies(), ['local', 'remote'])
})

test('what a remote refuses has the code, the message and the hint that Node reports', async () => {
  const unlike = (fault, settings = {}, options = {}) => ({ fault, settings, options })
  const cases = {
    redirect: unlike({ status: 302, headers: { location: `/elsewhere?apikey=${remote.anonKey}` } }),
    'a page of HTML': unlike({ status: 200, body: '<html>Sign in</html>', headers: { 'content-type': 'text/html' } }),
    'a refusal in HTML': unlike({ status: 403, body: `<html>${'no '.repeat(1000)}</html>` }),
    'a wrong key': unlike(undefined, { SUPABASE_PUBLISHABLE_KEY: 'unknown' }, { key: 'unknown' }),
    'a wrong token': unlike(undefined, { NOTES_TOKEN: 'unknown' }, { accessToken: () => 'unknown' }),
    'no project': unlike(undefined, { SUPABASE_URL: `${remote.url}/other` }, { url: `${remote.url}/other` }),
    'no URL': unlike(undefined, { SUPABASE_URL: 'x' }, { url: 'http://x?y' }),
  }
  for (const [name, { fault, settings, options }] of Object.entries(cases)) {
    if (fault !== undefined) remote.faults.add({ ...fault, times: 100 })
    const { failure } = await notes(newFolder(), [], settings)
    const error = await openHere(newFolder(), options)
      .then((db) => db.sync.pull().finally(() => db.close()))
      .catch((error) => error)
    remote.faults.clear()
    assert.ok(error instanceof Error, name)
    assert.equal(failure?.includes(remote.anonKey), false, `${name}: ${failure}`)
    if (name === 'no URL') assert.match(failure, /^invalid_argument: remote\.url is not an http\(s\) URL/)
    else assert.equal(failure, `${error.code}: ${error.message} (${error.hint})`, name)
  }
})

test('the token of a user is sent, and the data stays with that user', async () => {
  const folder = newFolder()
  const user = '6b1f6b1e-0000-4000-8000-000000000001'
  assert.equal((await notes(folder, ['mine'], { NOTES_TOKEN: remote.jwtFor(user) })).lines.at(-1), '1 sent')
  const authorized = remote.stats.requests.filter(({ headers }) => headers.authorization !== undefined)
  assert.ok(authorized.length > 0)
  const other = await notes(folder, [], { NOTES_TOKEN: remote.jwtFor('6b1f6b1e-0000-4000-8000-000000000002') })
  assert.match(other.failure, /^sync_user_mismatch: This database belongs to a user, and another user is signed in/)
})

test('a remote with a certificate of its own is refused, unless the program trusts its authority', async () => {
  const certificates = path.join(root, 'tests/fixtures/tls')
  const read = (name) => readFileSync(path.join(certificates, name))
  const proxy = https.createServer({ key: read('key.pem'), cert: read('certificate.pem') }, (request, response) => {
    const target = http.request(
      remote.url + request.url,
      { method: request.method, headers: request.headers },
      (answer) => {
        response.writeHead(answer.statusCode, answer.headers)
        answer.pipe(response)
      },
    )
    target.on('error', () => response.destroy())
    request.pipe(target)
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  try {
    const folder = newFolder()
    const SUPABASE_URL = `https://127.0.0.1:${proxy.address().port}`
    const refused = await notes(folder, ['secret'], { SUPABASE_URL })
    assert.match(refused.lines?.at(-1), /^1 wait: The remote could not be reached/)
    assert.deepEqual(await bodies(), [])
    const trusted = { SUPABASE_URL, NOTES_CERTIFICATES: path.join(certificates, 'authority.pem') }
    assert.equal((await notes(folder, [], trusted)).lines?.at(-1), '1 sent')
    assert.deepEqual(await bodies(), ['secret'])
  } finally {
    proxy.closeAllConnections()
    proxy.close()
  }
})
