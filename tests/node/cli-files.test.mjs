// What the command line does with `.sqlite` files that other programs use, or left without closing them.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { after, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { open } from '../../pkg-js/dist/index.js'
import { fakeRemote } from '../../pkg-js/dist/integrations/testing/index.js'
import { cli, runCommand } from './command-line.mjs'

const base = mkdtempSync(path.join(tmpdir(), 'tidelock-cli-files-'))
after(() => rmSync(base, { recursive: true, force: true }))

let folders = 0
/** Makes a folder with two migrations, the first of which can be reverted. */
function folder() {
  const made = path.join(base, `work ${++folders}`)
  mkdirSync(path.join(made, 'migrations'), { recursive: true })
  writeFileSync(path.join(made, 'migrations/0001_extra.up.sql'), 'CREATE TABLE extra (id INTEGER PRIMARY KEY);\n')
  writeFileSync(path.join(made, 'migrations/0001_extra.down.sql'), 'DROP TABLE extra;\n')
  return made
}

const run = (cwd, line, options) => runCommand(line.split(' '), { cwd, ...options })

/** Runs a query in SQLite's own shell, which reads the file independently of tidelock. */
const sqlite3 = (cwd, sql) => execFileSync('sqlite3', ['app.sqlite', sql], { cwd, encoding: 'utf8' }).trim()

/** Runs SQL in a process of SQLite's shell that ends without closing the file. */
const killed = (cwd, ...lines) => {
  const input = [...lines, '.shell kill -9 $PPID'].join('\n')
  assert.equal(spawnSync('sqlite3', ['app.sqlite'], { cwd, input }).signal, 'SIGKILL')
}

/** All commands that read or write a file. */
const commands = [
  'inspect app.sqlite',
  'inspect app.sqlite --web',
  'verify app.sqlite',
  'types app.sqlite',
  'push app.sqlite --tables z --url http://127.0.0.1:1',
  'push app.sqlite --tables z --new --url http://127.0.0.1:1',
  'pull --tables z --url http://127.0.0.1:1',
  'migrate status app.sqlite',
  'migrate run app.sqlite',
  'migrate run app.sqlite --dry-run',
  'migrate run app.sqlite --create',
  'migrate revert app.sqlite',
]
const env = { SUPABASE_SECRET_KEY: 'the-key-of-this-project' }

const rows = `CREATE TABLE z (x, y);
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2000) INSERT INTO z SELECT i, printf('%0300d', i) FROM n;`
const left = {
  'a write-ahead log with commits': {
    ending: '-wal',
    sql: ['PRAGMA journal_mode = WAL;', rows, 'PRAGMA wal_checkpoint(TRUNCATE);', "UPDATE z SET y = 'changed';"],
    changed: 2000,
  },
  'a rollback journal of an interrupted transaction': {
    ending: '-journal',
    sql: ['PRAGMA cache_size = 5;', rows, 'BEGIN;', "UPDATE z SET y = 'changed';", 'DELETE FROM z WHERE x % 3 = 0;'],
    changed: 0,
  },
}
for (const [what, { ending, sql, changed }] of Object.entries(left)) {
  test(`no command uses a file beside ${what}`, async () => {
    const cwd = folder()
    killed(cwd, ...sql)
    const files = ['app.sqlite', `app.sqlite${ending}`]
    const bytes = () => files.map((file) => readFileSync(path.join(cwd, file)))
    const before = bytes()
    for (const line of commands) {
      const { code, out, err } = await run(cwd, line, { env, timeout: 20_000 })
      assert.deepEqual([code, out], [1, ''], `${line}: ${err}`)
      assert.match(
        err,
        /^error: app\.sqlite is in use, or was not closed: .* \(database_in_use\)\nhint: .*wal_checkpoint/,
        line,
      )
      assert.ok(err.includes(`its ${ending} file has changes`), err)
    }
    assert.deepEqual(bytes(), before)
    assert.deepEqual(
      readdirSync(cwd).filter((name) => !files.includes(name) && !name.endsWith('-shm')),
      ['migrations'],
    )
    // The hint is right.
    sqlite3(cwd, 'PRAGMA wal_checkpoint(TRUNCATE)')
    assert.equal((await run(cwd, 'migrate run app.sqlite')).code, 0)
    assert.equal(
      sqlite3(cwd, "SELECT count(*), sum(y = 'changed') FROM z; SELECT count(*) FROM extra; PRAGMA integrity_check"),
      `2000|${changed}\n0\nok`,
    )
  })

  test(`no command makes a new file beside ${what}`, async () => {
    const cwd = folder()
    killed(cwd, ...sql)
    rmSync(path.join(cwd, 'app.sqlite'))
    for (const line of ['migrate run app.sqlite --create', 'pull --tables z --url http://127.0.0.1:1']) {
      const { code, err } = await run(cwd, line, { env })
      assert.equal(code, 1)
      assert.match(err, /has changes of a file that does not exist \(database_in_use\)\nhint: /, line)
    }
    assert.equal(existsSync(path.join(cwd, 'app.sqlite')), false)
  })
}

test('a log or a journal without changes is no obstacle', async () => {
  for (const [mode, ...more] of [['TRUNCATE'], ['PERSIST'], ['WAL', 'PRAGMA wal_checkpoint(TRUNCATE);']]) {
    const cwd = folder()
    killed(cwd, `PRAGMA journal_mode = ${mode};`, 'CREATE TABLE z (x);', ...more)
    assert.ok(
      readdirSync(cwd).some((file) => /-(wal|journal)$/.test(file)),
      mode,
    )
    assert.equal((await run(cwd, 'migrate run app.sqlite')).code, 0, mode)
    assert.equal(sqlite3(cwd, 'SELECT count(*) FROM extra; PRAGMA integrity_check'), '0\nok', mode)
  }
  // A log whose first frame has other salts than its header has no frames that count.
  const cwd = folder()
  killed(cwd, 'PRAGMA journal_mode = WAL;', 'CREATE TABLE z (x);')
  const log = path.join(cwd, 'app.sqlite-wal')
  const bytes = readFileSync(log)
  bytes[40] ^= 1
  sqlite3(cwd, 'PRAGMA wal_checkpoint(TRUNCATE)')
  writeFileSync(log, bytes)
  assert.equal((await run(cwd, 'migrate run app.sqlite')).code, 0)
  assert.equal(sqlite3(cwd, 'SELECT count(*) FROM extra; PRAGMA integrity_check'), '0\nok')
})

test('a file in which another program writes stays as it is', async () => {
  const cwd = folder()
  sqlite3(cwd, 'CREATE TABLE z (x); INSERT INTO z VALUES (1)')
  const input = `BEGIN IMMEDIATE; INSERT INTO z VALUES (2);
.shell "${process.execPath}" "${cli}" migrate run app.sqlite 2> refusal
COMMIT; INSERT INTO z VALUES (3);`
  execFileSync('sqlite3', ['app.sqlite'], { cwd, input, stdio: 'pipe' })
  assert.match(readFileSync(path.join(cwd, 'refusal'), 'utf8'), /\(database_in_use\)/)
  assert.equal(sqlite3(cwd, 'SELECT group_concat(x) FROM z'), '1,2,3')
})

for (const [what, sql] of [
  ['changes', 'INSERT INTO z VALUES (2)'],
  ['begins to change', 'PRAGMA journal_mode = WAL; INSERT INTO z VALUES (2); .shell kill -9 $PPID'],
]) {
  test(`a file that another program ${what} meanwhile is not replaced`, async () => {
    const cwd = folder()
    sqlite3(cwd, 'CREATE TABLE z (x); INSERT INTO z VALUES (1)')
    // The last step before the file is replaced.
    const preload = path.join(cwd, 'preload.mjs')
    writeFileSync(
      preload,
      `import fs from 'node:fs'
      import { spawnSync } from 'node:child_process'
      import { syncBuiltinESMExports } from 'node:module'
      const { chmodSync } = fs
      fs.chmodSync = (...given) => {
        spawnSync('sqlite3', ['app.sqlite'], { input: ${JSON.stringify(sql.replaceAll('; ', ';\n'))} })
        chmodSync(...given)
      }
      syncBuiltinESMExports()`,
    )
    const env = { NODE_OPTIONS: `--import=${pathToFileURL(preload)}` }
    const { code, err } = await run(cwd, 'migrate run app.sqlite', { env })
    assert.equal(code, 1)
    assert.match(err, /^error: .*app\.sqlite.* \(database_in_use\)\nhint: /)
    assert.equal(sqlite3(cwd, 'SELECT group_concat(x) FROM z; SELECT name FROM sqlite_schema'), '1,2\nz')
    assert.deepEqual(readdirSync(cwd).toSorted(), ['app.sqlite', 'migrations', 'preload.mjs'])
  })
}

test('a file that another program changes during a pull is not replaced', async () => {
  const cwd = folder()
  const todos = { columns: { id: 'text', title: 'text' }, rows: [{ id: 'a', title: 'x' }] }
  sqlite3(cwd, 'CREATE TABLE todos (id TEXT PRIMARY KEY, title TEXT)')
  let changes = 1
  const change = () => changes-- > 0 && sqlite3(cwd, "INSERT INTO todos VALUES ('b', 'theirs')")
  const server = await serve(fakeRemote({ tables: { todos } }), change)
  const line = `pull --tables todos --url http://127.0.0.1:${server.address().port}`
  try {
    const { code, err } = await run(cwd, line, { env })
    assert.equal(code, 1)
    assert.match(err, /^error: Another program changed app\.sqlite meanwhile \(database_in_use\)\nhint: [^\n]*\n$/)
    assert.equal(sqlite3(cwd, 'SELECT id FROM todos ORDER BY id'), 'b')
    // The next pull begins with the file as it is then.
    assert.equal((await run(cwd, line, { env })).code, 0)
    assert.equal(sqlite3(cwd, 'SELECT id FROM todos ORDER BY id'), 'a\nb')
  } finally {
    server.close()
  }
})

test('a file with a migration that the folder lacks is refused with its version, as a database folder is', async () => {
  const cwd = folder()
  writeFileSync(path.join(cwd, 'migrations/0002_more.sql'), 'CREATE TABLE more (x);\n')
  assert.equal((await run(cwd, 'migrate run app.sqlite --create')).code, 0)
  mkdirSync(path.join(cwd, 'none'))
  mkdirSync(path.join(cwd, 'older'))
  writeFileSync(path.join(cwd, 'older/0001_extra.sql'), 'CREATE TABLE extra (id INTEGER PRIMARY KEY);\n')
  mkdirSync(path.join(cwd, 'newer'))
  writeFileSync(path.join(cwd, 'newer/0002_more.sql'), 'CREATE TABLE more (x);\n')
  for (const [line, code, version] of [
    ['migrate run app.sqlite --dir none', 'schema_too_new', '0002'],
    ['migrate run app.sqlite --dir older', 'schema_too_new', '0002'],
    ['migrate revert app.sqlite --dir older', 'schema_too_new', '0002'],
    ['migrate run app.sqlite --dir newer', 'migration_missing', '0001'],
  ]) {
    const { code: ended, err } = await run(cwd, `${line} --json`)
    const { error } = JSON.parse(err)
    assert.deepEqual([ended, error.code, error.details.version], [1, code, version], line)
    assert.match(error.message, new RegExp(`migration ${version} `, 'i'), line)
    assert.match(error.hint, /--dir$/, line)
  }
})

test('a link to a file stays a link, and the file is written', async () => {
  const cwd = folder()
  mkdirSync(path.join(cwd, 'data'))
  assert.equal((await run(cwd, 'migrate run data/real.sqlite --create')).code, 0)
  symlinkSync('data/real.sqlite', path.join(cwd, 'app.sqlite'))
  writeFileSync(path.join(cwd, 'migrations/0002_more.sql'), 'CREATE TABLE more (x);\n')
  assert.equal((await run(cwd, 'migrate run app.sqlite')).code, 0)
  assert.ok(lstatSync(path.join(cwd, 'app.sqlite')).isSymbolicLink())
  assert.match((await run(cwd, 'migrate status data/real.sqlite')).out, /^applied +0002/m)
  assert.deepEqual(readdirSync(path.join(cwd, 'data')), ['real.sqlite'])
  // SQLite has the log beside the file, not beside the link.
  killed(cwd, 'PRAGMA journal_mode = WAL;', 'INSERT INTO more VALUES (1);')
  assert.ok(existsSync(path.join(cwd, 'data/real.sqlite-wal')))
  assert.match((await run(cwd, 'inspect app.sqlite')).err, /its -wal file has changes \(database_in_use\)/)
})

/** Serves a remote over HTTP. `meanwhile` runs before each answer. */
async function serve(remote, meanwhile = () => {}) {
  const server = createServer(async (request, response) => {
    meanwhile()
    const body = request.method === 'GET' ? undefined : await text(request)
    const answer = await remote.fetch(remote.url + request.url, {
      method: request.method,
      headers: request.headers,
      body,
    })
    response.writeHead(answer.status, Object.fromEntries(answer.headers))
    response.end(await answer.text())
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}

test('the unpushed changes of a file and its user stay, whatever writes the file', async () => {
  const cwd = folder()
  const remote = fakeRemote({
    tables: {
      todos: { columns: { id: 'text', title: 'text' }, rows: [{ id: 'a', title: 'x' }] },
      others: { columns: { id: 'text' }, rows: [] },
      numbers: { columns: { id: 'int8' }, rows: [] },
    },
  })
  const server = await serve(remote)
  const migrations = [1, 2].map((n) => ({
    version: `000${n}`,
    name: `t${n}`,
    up: `CREATE TABLE ${n === 1 ? 'numbers (id INTEGER PRIMARY KEY); CREATE TABLE todos' : 'others'} (id TEXT PRIMARY KEY, title TEXT);`,
  }))
  for (const { version, name, up } of migrations) writeFileSync(path.join(cwd, `migrations/${version}_${name}.sql`), up)
  rmSync(path.join(cwd, 'migrations/0001_extra.up.sql'))
  rmSync(path.join(cwd, 'migrations/0001_extra.down.sql'))
  const { url, key, fetch } = remote
  const db = await open({
    name: 'a',
    storage: 'memory',
    migrations: migrations.slice(0, 1),
    remote: { url, key, fetch, tables: ['todos', 'numbers'] },
  })
  await db.sync.run()
  await db.run('INSERT INTO numbers VALUES (9007199254740993)')
  await db.run("INSERT INTO todos VALUES ('mine', 'unpushed')")
  await db.run("UPDATE todos SET title = 'changed' WHERE id = 'a'")
  await db.run("INSERT INTO tidelock_sync VALUES ('user', 'someone')")
  writeFileSync(path.join(cwd, 'app.sqlite'), await db.export())
  await db.close()
  const outbox = () =>
    sqlite3(cwd, "SELECT key, op, base FROM tidelock_outbox; SELECT value FROM tidelock_sync WHERE name = 'user'")
  const before = outbox()
  const shown = async () => JSON.parse((await run(cwd, 'inspect app.sqlite --json')).out).sync
  assert.deepEqual(await shown(), { pending: 3, rejected: 0 })
  assert.equal((await run(cwd, 'migrate run app.sqlite')).code, 0)
  assert.equal(outbox(), before)
  const there = `--url http://127.0.0.1:${server.address().port}`
  try {
    for (const line of [
      `push app.sqlite --tables others --new ${there}`,
      `pull --tables todos ${there}`,
      `push app.sqlite --tables todos --new ${there}`,
    ]) {
      const { code, out, err } = await run(cwd, line, { env })
      assert.equal(code, 0, err)
      if (line.startsWith('push')) assert.match(out, /^rejected: numbers {"id":"9007199254740993"}: restored$/m)
      assert.ok(before.startsWith(outbox()), line)
      assert.deepEqual(await shown(), { pending: 3, rejected: 0 })
    }
  } finally {
    server.close()
  }
  // A restore of the file has them.
  const restored = await open({ name: 'b', storage: 'memory', migrations })
  const { id } = await restored.snapshots.import(readFileSync(path.join(cwd, 'app.sqlite')))
  await restored.snapshots.restore(id)
  assert.deepEqual(
    (await restored.sync.rejected()).map(({ key, reason }) => [key.id, reason]),
    [
      [9007199254740993n, 'restored'],
      ['mine', 'restored'],
      ['a', 'restored'],
    ],
  )
  await restored.close()
})
