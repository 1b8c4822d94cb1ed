// What the command line says and does when a command fails: exit codes, suggestions, the words of the remote, hints, and Ctrl-C.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { open } from '../../pkg-js/dist/index.js'
import { until } from '../scenarios/run/context.mjs'
import { ordinaryUser, runCommand } from './command-line.mjs'

const base = mkdtempSync(path.join(tmpdir(), 'tidelock-cli-errors-'))
const key = 'the-key-of-this-project'
/** An error as PostgREST answers it, which repeats the key that it got. */
const refusal = {
  code: '42501',
  message: 'permission denied for table notes',
  details: `The role of ${key} may not read it`,
  hint: 'Grant the required privileges to the current role with: GRANT SELECT ON public.notes TO anon;',
}
let server
let url

before(async () => {
  server = createServer((_request, response) => {
    response.writeHead(403, { 'content-type': 'application/json' })
    response.end(JSON.stringify(refusal))
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${server.address().port}`
})
after(() => {
  server?.close()
  rmSync(base, { recursive: true, force: true })
})

let folders = 0
function folder() {
  const made = path.join(base, `work ${++folders}`)
  mkdirSync(made)
  return made
}

/** Runs a command in a folder → { code, out, err }. Never rejects. */
const run = (cwd, args, options) => runCommand(args, { cwd, ...options })

const notesSql = 'CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT);'
const endlessSql =
  'CREATE TABLE endless AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n;'

test('errors have the words of the remote, with the key masked, on standard error as text and as JSON', async () => {
  const cwd = folder()
  writeFileSync(path.join(cwd, 'notes.sql'), notesSql)
  const args = ['pull', '--url', url, '--tables', 'notes', '--schema', 'notes.sql']
  const env = { SUPABASE_SECRET_KEY: key }
  const text = await run(cwd, args, { env })
  assert.equal(text.code, 1)
  assert.match(text.err, /^error: The remote answered 403 .*permission denied for table notes \(sync_rejected\)\n/m)
  assert.match(text.err, /^remote: 42501$/m)
  assert.match(text.err, /^remote details: The role of \*\*\* may not read it$/m)
  assert.match(text.err, /^remote hint: Grant the required privileges .*GRANT SELECT ON public\.notes TO anon;$/m)
  assert.match(text.err, /^hint: npx tidelock doctor --tables NAME checks/m)
  const json = await run(cwd, [...args, '--json'], { env })
  assert.deepEqual([json.code, json.out], [1, ''])
  const { error } = JSON.parse(json.err.trim().split('\n').at(-1))
  assert.deepEqual(error.details.remote, { ...refusal, details: 'The role of *** may not read it' })
  assert.ok(!(text.err + json.err).includes(key))

  // Without the engine, too: the rows whose types are guessed.
  const guessed = await run(
    cwd,
    ['pull', '--url', url, '--tables', 'notes', '--pk', 'notes=id', '--out', 'other.sqlite'],
    {
      env,
    },
  )
  assert.match(guessed.err, /^remote: 42501 permission denied for table notes$/m)
  // What a pull has read is kept for the same one. One that ends before its first row leaves nothing.
  assert.deepEqual(readdirSync(cwd).toSorted(), ['app.sqlite.pulling', 'notes.sql'])
  const another = await run(cwd, ['pull', '--url', url, '--tables', 'others', '--pk', 'others=id'], { env })
  assert.equal(another.code, 1)
  assert.deepEqual(readdirSync(cwd).toSorted(), ['notes.sql'])
})

test('warnings and errors are lines of JSON with --json', async () => {
  const cwd = folder()
  const args = ['pull', '--url', url, '--tables', 'notes', '--pk', 'notes=id', '--json']
  const { out, err } = await run(cwd, args, { env: { SUPABASE_SECRET_KEY: key } })
  const lines = err
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  assert.deepEqual([out, Object.keys(lines[0]), Object.keys(lines.at(-1))], ['', ['warning'], ['error']])
})

test('wrong usage ends with 2 and suggests what was meant; a failure ends with 1', async () => {
  const cwd = folder()
  writeFileSync(path.join(cwd, 'broken.sqlite'), 'no database')
  for (const [line, code, expected] of [
    ['pul', 2, /^hint: Did you mean 'pull'\? npx tidelock --help lists the commands$/m],
    ['migrte run', 2, /^hint: Did you mean 'migrate run'\?/m],
    ['migrate statsu', 2, /^hint: Did you mean 'migrate status'\?/m],
    ['snapshto', 2, /^hint: Did you mean 'snapshot'\?/m],
    ['frobnicate', 2, /^hint: npx tidelock --help lists the commands$/m],
    ['inspect --jsno app.sqlite', 2, /^hint: Did you mean --json\? npx tidelock inspect --help shows its usage$/m],
    ['pull --tabels a', 2, /^hint: Did you mean --tables\?/m],
    ['pull --nonsense', 2, /^hint: npx tidelock pull --help shows its usage$/m],
    ['pull --tables a --url localhost', 2, /^error: The URL of the remote is not an http or https URL/m],
    ['snapshot restore . --at yesterday', 2, /^error: --at yesterday is not a time/m],
    [
      'snapshot restore . --at 2026-11-26',
      2,
      /^error: --at 2026-11-26 is not a time .*\nhint: .*2026-03-01T12:00:00Z$/m,
    ],
    [
      'snapshot restore . --at 2026-11-26T10:00:00',
      2,
      /^error: --at 2026-11-26T10:00:00 is not a time .*\nhint: .*zone/m,
    ],
    ['snapshot restore . --at 2026-13-26T10:00:00Z', 2, /^error: --at 2026-13-26T10:00:00Z is not a time/m],
    ['snapshot restore .', 2, /^error: The ID of the snapshot must come before the folder \./m],
    ['snapshot restore . 1', 2, /^error: The ID of the snapshot must come before the folder \./m],
    ['migrate', 2, undefined],
    ['inspect missing.sqlite', 1, /^error: missing\.sqlite does not exist/m],
    ['verify broken.sqlite', 1, /^error: The file is not a valid SQLite database/m],
  ]) {
    const { code: ended, out, err } = await run(cwd, line.split(' '))
    assert.equal(ended, code, `${line}: ${err}`)
    if (expected === undefined) continue
    assert.match(err, expected, line)
    assert.equal(out, '', line)
  }
})

test('a path is accepted wherever --db is', async () => {
  const cwd = folder()
  mkdirSync(path.join(cwd, 'migrations'))
  writeFileSync(path.join(cwd, 'migrations/0001_notes.up.sql'), notesSql)
  writeFileSync(path.join(cwd, 'migrations/0001_notes.down.sql'), 'DROP TABLE notes;')
  execFileSync('sqlite3', [path.join(cwd, 'app.sqlite'), 'CREATE TABLE t (n)'])
  const where = path.join(cwd, 'shop.tidelock')
  const db = await open({ name: 'shop', storage: 'file', path: where, onWarning() {} })
  await db.exec(notesSql)
  await db.close()
  const result = async (line) => {
    const { code, out, err } = await run(cwd, [...line.split(' '), '--json'])
    assert.equal(code, 0, `${line}: ${err}`)
    return JSON.parse(out)
  }
  for (const [given, expected] of [
    ['app.sqlite', ['0001']],
    ['--db app.sqlite', []],
  ]) {
    assert.deepEqual(
      (await result(`migrate run ${given}`)).applied.map(({ version }) => version),
      expected,
    )
    assert.equal((await result(`migrate status ${given}`))[0].state, 'applied')
  }
  assert.equal((await result('migrate revert app.sqlite')).reverted.length, 1)
  const made = await result('snapshot create shop.tidelock --label one')
  assert.ok((await result('snapshot list shop.tidelock')).some(({ id }) => id === made.id))
  assert.equal((await result(`snapshot restore ${made.id} shop.tidelock`)).restored, made.id)
  assert.equal((await result(`snapshot restore ${made.id} --db shop.tidelock`)).restored, made.id)
  const at = new Date().toISOString()
  assert.equal((await result(`snapshot restore shop.tidelock --at ${at}`)).restored, at)
  const twice = await run(cwd, ['snapshot', 'list', 'shop.tidelock', '--db', 'shop.tidelock'])
  assert.deepEqual([twice.code, /given twice/.test(twice.err)], [2, true])
})

test('hints name commands, not calls of the package', async () => {
  const cwd = folder()
  mkdirSync(path.join(cwd, 'migrations'))
  const up = path.join(cwd, 'migrations/0002_notes.sql')
  writeFileSync(up, notesSql)
  const where = path.join(cwd, 'shop.tidelock')
  const db = await open({ name: 'shop', storage: 'file', path: where, onWarning() {} })
  await db.exec('CREATE TABLE t (n)')
  const seen = []
  const fails = async (code, ...args) => {
    const { err } = await run(cwd, [...args, '--json'])
    const { error } = JSON.parse(err.trim().split('\n').at(-1))
    assert.equal(error.code, code, err)
    assert.doesNotMatch(error.hint ?? '', /\w\(\)|\b(db|snapshots|migrations|sync)\.\w|`/)
    seen.push(error.hint)
  }
  await fails('database_in_use', 'inspect', 'shop.tidelock')
  // A copy of a folder in use has its lock file, which names the process of the original.
  const copy = path.join(cwd, 'copy.tidelock')
  cpSync(where, copy, { recursive: true })
  await fails('database_in_use', 'inspect', 'copy.tidelock')
  assert.match(seen.at(-1), /In a copy of a folder in use, remove its lock files \(lock\.\*\)$/)
  for (const name of readdirSync(copy)) if (name.startsWith('lock.')) rmSync(path.join(copy, name))
  assert.equal((await run(cwd, ['snapshot', 'create', 'copy.tidelock'])).code, 0)
  await db.close()
  await fails('snapshot_not_found', 'snapshot', 'restore', '99', 'shop.tidelock')
  assert.equal((await run(cwd, ['migrate', 'run', 'shop.tidelock'])).code, 0)
  await fails('migration_irreversible', 'migrate', 'revert', 'shop.tidelock')
  writeFileSync(path.join(cwd, 'migrations/0001_late.sql'), 'CREATE TABLE late (n);')
  await fails('migration_out_of_order', 'migrate', 'run', 'shop.tidelock')
  rmSync(path.join(cwd, 'migrations/0001_late.sql'))
  writeFileSync(up, 'CREATE TABLE other (n);')
  await fails('migration_checksum_mismatch', 'migrate', 'run', 'shop.tidelock')
  rmSync(up)
  writeFileSync(path.join(cwd, 'migrations/0003_more.sql'), 'CREATE TABLE more (n);')
  await fails('migration_missing', 'migrate', 'run', 'shop.tidelock')
  const secret = path.join(cwd, 'secret.tidelock')
  const encrypted = await open({ name: 'secret', storage: 'file', path: secret, encryption: { passphrase: 'a' } })
  await encrypted.close()
  await fails('decryption_failed', 'inspect', 'secret.tidelock')
  const checked = await run(cwd, ['doctor', '--url', url, '--tables', 'notes'], {
    env: { SUPABASE_SECRET_KEY: key, TIDELOCK_ACCESS_TOKEN: 'no-jwt' },
  })
  assert.equal(checked.code, 1)
  assert.match(checked.out, /^ {5}The role needs GRANT SELECT on the table$/m)
  assert.match(checked.out, /^ {5}Set TIDELOCK_ACCESS_TOKEN to the token of a session$/m)
  assert.deepEqual(
    seen.filter((hint) => hint === undefined),
    [],
    'each says what to do',
  )
})

test('a folder without permission is named with the cause, as text and as JSON', async () => {
  const cwd = folder()
  const locked = path.join(cwd, 'locked')
  const where = path.join(cwd, 'shop.tidelock')
  const db = await open({ name: 'shop', storage: 'file', path: where, onWarning() {} })
  await db.close()
  for (const made of [locked, path.join(cwd, 'migrations')]) mkdirSync(made)
  writeFileSync(path.join(cwd, 'notes.sql'), notesSql)
  chmodSync(base, 0o755)
  chmodSync(locked, 0)
  chmodSync(where, 0o555)
  const env = { SUPABASE_URL: url, SUPABASE_SECRET_KEY: key }
  const pull = ['pull', '--tables', 'notes', '--schema', 'notes.sql', '--out']
  try {
    for (const args of [
      ['inspect', 'locked'],
      ['verify', 'locked'],
      ['verify', 'locked/shop.tidelock'],
      ['types', 'locked'],
      ['types', '--dir', 'locked'],
      ['types', '--dir', 'locked/migrations'],
      ['push', 'locked', '--tables', 'notes'],
      ['migrate', 'status', 'locked'],
      ['migrate', 'run', 'locked'],
      ['migrate', 'revert', 'locked'],
      ['migrate', 'new', 'a', '--dir', 'locked'],
      ['snapshot', 'list', 'locked'],
      ['snapshot', 'create', 'locked'],
      ['snapshot', 'create', 'shop.tidelock'],
      ['snapshot', 'restore', '1', 'locked'],
      ['snapshot', 'restore', 'locked', '--at', '2026-03-01T12:00:00Z'],
      [...pull, 'locked/app.sqlite'],
    ]) {
      const text = await run(cwd, args, { env, ...ordinaryUser })
      assert.deepEqual([text.code, text.out], [1, ''], `${args}: ${text.err}`)
      assert.match(
        text.err,
        /^error: .* can't be used \(storage_unavailable\)\ncause: EACCES: permission denied, \w+ '.*'\nhint: .*permissions.*\n$/,
        `${args}`,
      )
      const json = await run(cwd, [...args, '--json'], { env, ...ordinaryUser })
      const { error } = JSON.parse(json.err)
      assert.deepEqual([json.code, json.out, error.code], [1, '', 'storage_unavailable'], `${args}`)
      assert.match(error.cause, /^Error: EACCES: permission denied, /)
      assert.match(error.hint, /permissions/)
    }
    const long = path.join('locked', 'a'.repeat(200), 'b'.repeat(200))
    const { err } = await run(cwd, ['verify', long], ordinaryUser)
    assert.match(err, /^cause: EACCES: permission denied, stat 'locked\/a{200}\/b+$/m)
    assert.equal(/^cause: (.*)$/m.exec(err)[1].length, 300)
  } finally {
    for (const made of [locked, where]) chmodSync(made, 0o755)
  }
})

test('the cause of an error is one line, without secrets and without what the message says', async () => {
  const cwd = folder()
  writeFileSync(path.join(cwd, 'notes.sql'), notesSql)
  const env = { SUPABASE_SECRET_KEY: key }
  const read = await run(cwd, ['types', '--schema', 'missing.sql'])
  assert.match(read.err, /^error: missing\.sql can't be read: ENOENT: .* \(invalid_argument\)\n$/)
  const refused = await run(cwd, ['pull', '--url', url, '--tables', 'notes', '--schema', 'notes.sql'], { env })
  assert.doesNotMatch(refused.err, /^cause:/m)
  mkdirSync(path.join(cwd, 'migrations'))
  writeFileSync(path.join(cwd, 'migrations/0001_notes.sql'), 'INSERT INTO notes VALUES (1)')
  execFileSync('sqlite3', [path.join(cwd, 'app.sqlite'), 'CREATE TABLE t (n)'])
  const failed = await run(cwd, ['migrate', 'run', 'app.sqlite'])
  assert.match(failed.err, /no such table: notes \(migration_failed\)\nhint: .*\n$/)
  const unreachable = 'http://user:pass@127.0.0.1:1'
  const guess = ['pull', '--url', unreachable, '--tables', 'notes', '--pk', 'notes=id', '--out', 'other.sqlite']
  const guessed = await run(cwd, guess, { env })
  assert.match(guessed.err, /\(sync_network\)\ncause: TypeError: .*\nhint: .*\n$/)
  assert.doesNotMatch(guessed.err, new RegExp(`pass|${key}`))
})

test('Ctrl-C ends a command at once while SQL runs, with 130 and the database as it was', {
  timeout: 60_000,
}, async () => {
  const cwd = folder()
  mkdirSync(path.join(cwd, 'migrations'))
  writeFileSync(path.join(cwd, 'migrations/0001_notes.sql'), notesSql)
  writeFileSync(path.join(cwd, 'migrations/0002_endless.sql'), endlessSql)
  const where = path.join(cwd, 'shop.tidelock')
  const db = await open({ name: 'shop', storage: 'file', path: where, onWarning() {} })
  await db.exec('CREATE TABLE kept (n); INSERT INTO kept VALUES (7)')
  await db.close()
  assert.equal((await run(cwd, ['migrate', 'run', 'shop.tidelock', '--steps', '1'])).code, 0)
  let pressed
  const running = run(cwd, ['migrate', 'run', 'shop.tidelock', '--json'], {
    signal: async (child) => {
      // The endless migration keeps one core busy; nothing outside shows that it began but the time that the process has used.
      const ticks = () => Number(readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1].split(' ')[11])
      await until(() => ticks() > 150, 40_000)
      pressed = Date.now()
      child.kill('SIGINT')
    },
  })
  const { code, out, err } = await running
  assert.deepEqual([code, out, JSON.parse(err).error.message], [130, '', 'Interrupted'])
  assert.ok(Date.now() - pressed < 5000, `${Date.now() - pressed} ms`)
  // Another process opens it at once: the lock ended with the process. Nothing of the endless migration is there.
  const { out: states } = await run(cwd, ['migrate', 'status', 'shop.tidelock', '--json'])
  assert.deepEqual(
    JSON.parse(states).map(({ state }) => state),
    ['applied', 'pending'],
  )
  const again = await open({ name: 'shop', storage: 'file', path: where, onWarning() {} })
  assert.deepEqual(await again.query('SELECT n FROM kept'), [{ n: 7 }])
  await again.close()
  assert.equal((await run(cwd, ['verify', 'shop.tidelock'])).code, 0)
})

test('Ctrl-C leaves a file as it was', { timeout: 60_000 }, async () => {
  const cwd = folder()
  writeFileSync(path.join(cwd, 'endless.sql'), endlessSql)
  execFileSync('sqlite3', [path.join(cwd, 'app.sqlite'), 'CREATE TABLE t (n)'])
  const before = readFileSync(path.join(cwd, 'app.sqlite'))
  mkdirSync(path.join(cwd, 'migrations'))
  writeFileSync(path.join(cwd, 'migrations/0001_endless.sql'), endlessSql)
  const { code, err } = await run(cwd, ['migrate', 'run', 'app.sqlite'], {
    signal: async (child) => {
      const ticks = () => Number(readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1].split(' ')[11])
      await until(() => ticks() > 150, 40_000)
      child.kill('SIGINT')
    },
  })
  assert.deepEqual([code, err], [130, 'error: Interrupted (timeout)\n'])
  assert.deepEqual(readFileSync(path.join(cwd, 'app.sqlite')), before)
  assert.deepEqual(readdirSync(cwd).toSorted(), ['app.sqlite', 'endless.sql', 'migrations'])
})

test('Ctrl-C ends a command that waits for the remote, which keeps what it has', { timeout: 60_000 }, async () => {
  const cwd = folder()
  writeFileSync(path.join(cwd, 'notes.sql'), notesSql)
  let asked
  const silent = createServer(() => asked?.())
  await new Promise((resolve) => silent.listen(0, '127.0.0.1', resolve))
  try {
    const there = `http://127.0.0.1:${silent.address().port}`
    const { code, err } = await run(cwd, ['pull', '--url', there, '--tables', 'notes', '--schema', 'notes.sql'], {
      env: { SUPABASE_SECRET_KEY: key },
      signal(child) {
        asked = () => child.kill('SIGINT')
      },
    })
    assert.equal(code, 130)
    assert.match(err, /^The rows read so far are kept: .*\nerror: Interrupted \(timeout\)\n$/)
    assert.deepEqual(readdirSync(cwd).toSorted(), ['app.sqlite.pulling', 'notes.sql'])
  } finally {
    silent.closeAllConnections()
    silent.close()
  }
})

test('a command that ends without a result is a failure', async () => {
  const cwd = folder()
  const preload = path.join(cwd, 'preload.mjs')
  writeFileSync(preload, "import { isMainThread } from 'node:worker_threads'\nif (!isMainThread) process.exit(0)\n")
  const env = { NODE_OPTIONS: `--import=${pathToFileURL(preload)}` }
  const text = await run(cwd, ['doctor'], { env })
  assert.deepEqual([text.code, text.out], [1, ''])
  assert.equal(text.err, 'error: The command ended unexpectedly: it has no result (internal)\n')
  const json = await run(cwd, ['doctor', '--json'], { env })
  assert.deepEqual([json.code, JSON.parse(json.err).error.code], [1, 'internal'])
})
