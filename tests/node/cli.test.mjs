// The command line as a user runs it: the built file in its own process, against a real remote.
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { open } from '../../pkg-js/dist/index.js'
import { startRemote } from '../remote/index.mjs'
import { cli, runCommand } from './command-line.mjs'

const base = mkdtempSync(path.join(tmpdir(), 'tidelock-cli-'))
let remote
before(async () => {
  remote = await startRemote({ seed: 'shop' })
})
after(async () => {
  await remote?.stop()
  rmSync(base, { recursive: true, force: true })
})

let folders = 0
function folder() {
  const made = path.join(base, `work ${++folders}`)
  mkdirSync(made)
  return made
}

/** Runs a command in a folder → { code, out, err }. Never rejects. */
const run = (cwd, args, env, options) => runCommand(args, { cwd, env, ...options })

/** Runs a command with `--json` that must succeed → its result. */
async function json(cwd, args, env) {
  const { code, out, err } = await run(cwd, [...args, '--json'], env)
  assert.equal(code, 0, out + err)
  return JSON.parse(out)
}

const supabase = () => ({ SUPABASE_URL: remote.url, SUPABASE_SECRET_KEY: remote.secretKey })

const productsSql = `CREATE TABLE products (id INTEGER PRIMARY KEY, sku TEXT NOT NULL, name TEXT, category TEXT, unit_price NUMERIC TEXT,
  unit_cost NUMERIC TEXT, stock INTEGER, weight_kg REAL, organic BOOLEAN, allergens ARRAY TEXT, updated_at TEXT);`

/** Runs a query in SQLite's own shell, which reads the file independently of tidelock. */
function sqlite3(file, sql) {
  return execFileSync('sqlite3', [file, sql], { encoding: 'utf8' }).trim()
}

test('help, version and wrong usage', async () => {
  const cwd = folder()
  const general = await run(cwd, ['--help'])
  assert.equal(general.code, 0)
  const commands = [...general.out.matchAll(/^ {2}(\w+(?: \w+)?) {2,}/gm)].map(([, name]) => name)
  assert.deepEqual(commands.slice(0, 4), ['init', 'pull', 'push', 'schema pull'])
  assert.ok(commands.length >= 16)
  for (const command of commands) {
    const { code, out } = await run(cwd, [...command.split(' '), '--help'])
    assert.equal(code, 0, command)
    assert.match(out, /Usage: npx tidelock .+\n\nOptions:\n.*--json.*\n/s, command)
    assert.match(out, /Examples:\n {2}\S/, command)
  }
  assert.deepEqual(await run(cwd, ['help', 'migrate', 'new']), await run(cwd, ['migrate', 'new', '--help']))
  const { version } = JSON.parse(readFileSync(path.join(path.dirname(cli), '../../package.json'), 'utf8'))
  assert.equal((await run(cwd, ['--version'])).out.trim(), version)
  for (const args of [
    ['frobnicate'],
    ['pull', '--nonsense'],
    ['inspect'],
    ['inspect', 'missing.sqlite'],
    ['verify', 'a', 'b'],
    ['migrate', 'status'],
  ]) {
    const { code, err, out } = await run(cwd, args)
    // A missing file is no wrong usage.
    assert.equal(code, args.includes('missing.sqlite') ? 1 : 2, args.join(' '))
    assert.match(err, /error: .+ \(invalid_argument\)/, args.join(' '))
    assert.equal(out, '')
  }
  // With --json, standard output has nothing but a result.
  const { code, out, err } = await run(cwd, ['inspect', 'missing.sqlite', '--json'])
  assert.deepEqual([code, out, JSON.parse(err).error.code], [1, '', 'invalid_argument'])
})

test('a reader that stops early, such as head, is no error', async () => {
  const child = spawn(process.execPath, [cli, '--help'], { stdio: ['ignore', 'pipe', 'pipe'] })
  child.stdout.destroy()
  const [err, code] = await Promise.all([text(child.stderr), new Promise((resolve) => child.once('exit', resolve))])
  assert.deepEqual([code, err], [0, ''])
})

test('a pull makes a file that SQLite opens, that serves as a seed, and that later pulls update', async () => {
  const cwd = folder()
  writeFileSync(path.join(cwd, 'schema.sql'), productsSql)
  const args = [
    'pull',
    '--tables',
    'products',
    '--schema',
    'schema.sql',
    '--out',
    'shop.sqlite',
    '--cursor',
    'products=updated_at',
  ]
  const first = await run(cwd, args, supabase())
  assert.equal(first.code, 0, first.err)
  const [{ count, costs }] = await remote.sql(
    'select count(*)::text as count, sum(unit_cost)::text as costs from products',
  )
  assert.match(first.out, new RegExp(`products: ${count} inserted`))
  assert.ok(!(first.out + first.err).includes(remote.secretKey))
  const file = path.join(cwd, 'shop.sqlite')
  assert.equal(sqlite3(file, 'SELECT count(*) FROM products'), count)
  assert.equal(sqlite3(file, 'PRAGMA integrity_check'), 'ok')
  const exact = await remote.sql('select id::text as id, unit_cost::text as cost from products order by id limit 20')
  assert.equal(
    sqlite3(file, 'SELECT id, unit_cost FROM products ORDER BY id LIMIT 20'),
    exact.map(({ id, cost }) => `${id}|${cost}`).join('\n'),
  )
  assert.ok(costs)
  assert.deepEqual(readdirSync(cwd).sort(), ['schema.sql', 'shop.sqlite'], 'nothing else stays')

  const db = await open({ name: 'seeded', storage: 'memory', seed: readFileSync(file), onWarning() {} })
  assert.equal(String((await db.get('SELECT count(*) AS n FROM products')).n), count)
  await db.close()

  await remote.sql("update products set name = 'Renamed' where id = (select min(id) from products)")
  remote.stats.reset()
  const again = await json(
    cwd,
    args.filter((each) => each !== '--schema' && each !== 'schema.sql'),
    supabase(),
  )
  assert.deepEqual([again.report.tables[0].inserted, again.report.tables[0].updated], [0, 1])
  assert.ok(remote.stats.count <= 3, `only what changed is read: ${remote.stats.count} requests`)
  assert.equal(sqlite3(file, "SELECT count(*) FROM products WHERE name = 'Renamed'"), '1')
})

test('a whole project: the schema comes from the remote', async () => {
  const cwd = folder()
  const { report } = await json(cwd, ['pull', '--all', '--out', 'all.sqlite'], supabase())
  const file = path.join(cwd, 'all.sqlite')
  const tables = report.tables.map(({ table }) => table)
  for (const table of ['customers', 'products', 'orders', 'order_lines']) assert.ok(tables.includes(table), table)
  for (const table of tables) {
    const [{ count }] = await remote.sql(`select count(*)::text as count from "${table}"`)
    assert.equal(sqlite3(file, `SELECT count(*) FROM "${table}"`), count, table)
  }
  assert.equal(sqlite3(file, 'PRAGMA foreign_key_check'), '')
  const [{ limit }] = await remote.sql('select max(credit_limit)::text as limit from customers')
  assert.equal(sqlite3(file, `SELECT count(*) > 0 FROM customers WHERE credit_limit = '${limit}'`), '1')

  // Later the same command updates the file, with the tables that the remote has then.
  await remote.sql('create table regions (id int primary key, name text); insert into regions values (1, $$North$$)')
  const again = await json(cwd, ['pull', '--all', '--out', 'all.sqlite'], supabase())
  assert.deepEqual(again.report.tables.map(({ table }) => table).sort(), [...tables, 'regions'].sort())
  assert.equal(sqlite3(file, 'SELECT name FROM regions'), 'North')
  await remote.sql('drop table regions')

  const pulled = await json(cwd, ['schema', 'pull', '--tables', 'products,customers'], supabase())
  assert.match(pulled.file, /^migrations\/\d{14}_remote\.sql$/)
  assert.equal(readFileSync(path.join(cwd, pulled.file), 'utf8'), pulled.sql)
  const repeated = await json(cwd, ['schema', 'pull', '--tables', 'products,customers'], supabase())
  assert.deepEqual(repeated, { ...pulled, written: false }, 'the same tables are not written twice')
  assert.equal(readdirSync(path.join(cwd, 'migrations')).length, 1)
  assert.equal((await json(cwd, ['migrate', 'lint'])).filter(({ code }) => code === 'migration_invalid').length, 0)
  const { module } = await json(cwd, ['types'])
  assert.match(module, /products: \{\n {4}id: number\n/)
  writeFileSync(
    path.join(cwd, 'wanted.sql'),
    `${pulled.sql}\nCREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT);\n`,
  )
  const generated = await json(cwd, ['migrate', 'generate', 'notes', '--schema', 'wanted.sql'])
  assert.equal(generated.files.length, 2)
  assert.match(readFileSync(path.join(cwd, generated.files[0]), 'utf8'), /CREATE TABLE "?notes"?/)
  assert.match(readFileSync(path.join(cwd, generated.files[1]), 'utf8'), /DROP TABLE "?notes"?/)
  const same = await json(cwd, ['migrate', 'generate', 'nothing', '--schema', 'wanted.sql'])
  assert.deepEqual(same.files, [])

  const renamed = readFileSync(path.join(cwd, 'wanted.sql'), 'utf8').replace(
    'notes (id INTEGER PRIMARY KEY, body TEXT)',
    'notes (id INTEGER PRIMARY KEY, text TEXT)',
  )
  writeFileSync(path.join(cwd, 'renamed.sql'), renamed)
  const lost = await run(cwd, ['migrate', 'generate', 'lost', '--schema', 'renamed.sql'])
  assert.match(lost.err, /warning: Destructive: .*notes\.body/)
  for (const file of lost.out.trim().split('\n')) rmSync(path.join(cwd, file))
  const kept = await json(cwd, [
    'migrate',
    'generate',
    'kept',
    '--schema',
    'renamed.sql',
    '--rename',
    'notes.body=notes.text',
  ])
  assert.match(kept.up, /RENAME COLUMN "?body"? TO "?text"?/)
  assert.deepEqual(kept.destructive, [])
})

test('an interrupted pull resumes', async () => {
  const cwd = folder()
  writeFileSync(
    path.join(cwd, 'schema.sql'),
    'CREATE TABLE order_lines (id INTEGER PRIMARY KEY, order_id INTEGER, quantity INTEGER, updated_at TEXT);',
  )
  const args = ['pull', '--tables', 'order_lines', '--schema', 'schema.sql']
  remote.stats.reset()
  remote.faults.add({ table: 'order_lines', delayMs: 150, times: 1000 })
  const cut = await run(cwd, args, supabase(), {
    signal: (child) => {
      const timer = setInterval(() => {
        if (remote.stats.of('order_lines') < 12) return
        clearInterval(timer)
        child.kill('SIGKILL')
      }, 20)
    },
  })
  remote.faults.clear()
  assert.equal(cut.code, 'SIGKILL')
  assert.ok(!existsSync(path.join(cwd, 'app.sqlite')))
  const { report } = await json(cwd, ['pull', '--tables', 'order_lines'], supabase())
  assert.equal(report.tables[0].resumed, true)
  const [{ count }] = await remote.sql('select count(*)::text as count from order_lines')
  assert.equal(sqlite3(path.join(cwd, 'app.sqlite'), 'SELECT count(*) FROM order_lines'), count)
  assert.ok(report.tables[0].inserted < Number(count), 'not all of it again')
})

test('an interrupted pull is not resumed from another URL, for other tables or with another schema', async () => {
  const columns = 'id INTEGER PRIMARY KEY, order_id INTEGER, quantity INTEGER'
  const own = ['--tables', 'order_lines', '--schema', 'schema.sql']
  const others = {
    'the same': [own, remote.url, true],
    'another URL': [own, `${remote.url}/`, false],
    'other tables': [['--tables', 'order_lines,products', '--schema', 'two.sql'], remote.url, false],
    'another schema': [['--tables', 'order_lines', '--schema', 'more.sql'], remote.url, false],
  }
  for (const [what, [args, url, resumes]] of Object.entries(others)) {
    const cwd = folder()
    const schema = (name, more, others = '') =>
      writeFileSync(path.join(cwd, name), `CREATE TABLE order_lines (${columns}${more}, updated_at TEXT); ${others}`)
    schema('schema.sql', '')
    schema('more.sql', ', line_no INTEGER')
    schema('two.sql', '', productsSql)
    remote.faults.add({ table: 'order_lines', status: 401, times: 1000, skip: 6 })
    const cut = await run(cwd, ['pull', ...own], supabase())
    remote.faults.clear()
    assert.equal(cut.code, 1, what)
    const { report } = await json(cwd, ['pull', ...args], { ...supabase(), SUPABASE_URL: url })
    assert.equal(report.tables.find(({ table }) => table === 'order_lines').resumed, resumes, what)
    const found = sqlite3(
      path.join(cwd, 'app.sqlite'),
      "SELECT group_concat(name) FROM pragma_table_info('order_lines')",
    )
    assert.equal(found.includes('line_no'), what === 'another schema', found)
  }
})

test('options for a table that is not pulled are refused', async () => {
  const cwd = folder()
  for (const option of ['pk', 'cursor', 'deleted']) {
    const args = ['pull', '--tables', 'products', '--pk', 'products=id', `--${option}`, 'product=updated_at']
    const { code, err } = await run(cwd, args, supabase())
    assert.equal(code, 2, err)
    assert.match(err, new RegExp(`--${option} names product, which is none of the tables`))
  }
})

test('--pk guesses the types; keys come from --env and --key-file', async () => {
  const cwd = folder()
  writeFileSync(
    path.join(cwd, '.env'),
    `# of the project\nVITE_SUPABASE_URL="${remote.url}"\nexport SUPABASE_SECRET_KEY='${remote.secretKey}'\n`,
  )
  writeFileSync(
    path.join(cwd, '.env.public'),
    `SUPABASE_URL=${remote.url}\nSUPABASE_ANON_KEY=${remote.publishableKey}\n`,
  )
  const unlisted = await run(cwd, ['pull', '--env', '.env.public', '--tables', 'products'])
  assert.match(unlisted.err, /does not show its schema[\s\S]*hint: Set SUPABASE_SECRET_KEY, .* --tables a --pk a=id/)
  const guessed = await run(cwd, ['pull', '--env', '.env', '--tables', 'products', '--pk', 'products=id'])
  assert.equal(guessed.code, 0, guessed.err)
  assert.match(guessed.err, /warning: .*guessed/)
  const file = path.join(cwd, 'app.sqlite')
  const [exact] = await remote.sql(
    'select unit_cost::text as cost, stock::text as stock from products order by id limit 1',
  )
  assert.equal(
    sqlite3(file, 'SELECT unit_cost, stock, typeof(stock) FROM products ORDER BY id LIMIT 1'),
    `${exact.cost}|${exact.stock}|integer`,
  )

  writeFileSync(path.join(cwd, 'key'), `${remote.secretKey}\n`)
  const args = [
    'pull',
    '--url',
    remote.url,
    '--key-file',
    'key',
    '--tables',
    'products',
    '--out',
    'other.sqlite',
    '--pk',
    'products=id',
  ]
  assert.equal((await run(cwd, args)).code, 0)
  const wrong = await run(cwd, [...args, '--json'].with(4, 'absent'))
  assert.equal(JSON.parse(wrong.err).error.code, 'invalid_argument')
  writeFileSync(path.join(cwd, 'key'), 'sb_publishable_of_nobody\n')
  const refused = await run(cwd, [...args.slice(0, -4), '--out', 'third.sqlite', '--pk', 'products=id'])
  assert.equal(refused.code, 1)
  assert.match(refused.err, /sync_unauthorized/)
  assert.match(refused.err, /hint: /)
  for (const missing of [
    ['pull', '--tables', 'a'],
    ['pull', '--url', remote.url, '--tables', 'a'],
  ])
    assert.match((await run(cwd, missing)).err, /invalid_argument\)\nhint: .*SUPABASE/)
})

test('push sends rows to the remote', async () => {
  const cwd = folder()
  await remote.sql('create table notes (id bigint primary key, body text); insert into notes values (1, $$there$$)')
  await remote.sql('grant all on notes to service_role')
  const file = path.join(cwd, 'notes.sqlite')
  sqlite3(
    file,
    "CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT); INSERT INTO notes VALUES (1, 'there'), (9007199254740993, 'ü')",
  )
  const pushed = await json(cwd, ['push', 'notes.sqlite', '--tables', 'notes', '--new'], supabase())
  assert.deepEqual([pushed.queued.notes, pushed.report.tables[0].inserted, pushed.rejected], [1, 1, []])
  assert.deepEqual(await remote.sql('select id::text, body from notes order by id'), [
    { id: '1', body: 'there' },
    { id: '9007199254740993', body: 'ü' },
  ])
  const folderDb = path.join(cwd, 'notes.tidelock')
  const db = await open({
    name: 'notes',
    storage: 'file',
    path: folderDb,
    remote: { url: remote.url, key: remote.secretKey, tables: ['notes'] },
    onWarning() {},
  })
  await db.exec('CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)')
  await db.sync.pull()
  await db.run("UPDATE notes SET body = 'changed' WHERE id = 1")
  await db.close()
  const changed = await json(cwd, ['push', folderDb, '--tables', 'notes'], supabase())
  assert.equal(changed.report.tables[0].updated, 1)
  assert.equal((await remote.sql('select body from notes where id = 1'))[0].body, 'changed')
})

test('migrations: new, status, run, revert', async () => {
  const cwd = folder()
  const made = await json(cwd, ['migrate', 'new', 'Add Orders!'])
  assert.equal(made.files.length, 2)
  assert.match(made.files[0], /migrations\/\d{14}_add_orders\.up\.sql$/)
  writeFileSync(path.join(cwd, made.files[0]), 'CREATE TABLE orders (id INTEGER PRIMARY KEY);\n')
  writeFileSync(path.join(cwd, made.files[1]), 'DROP TABLE orders;\n')
  writeFileSync(path.join(cwd, 'migrations/99990101000000_later.sql'), 'CREATE TABLE later (n);\n')
  const file = path.join(cwd, 'app.sqlite')
  sqlite3(file, 'CREATE TABLE before (n); INSERT INTO before VALUES (7)')
  const db = ['--db', 'app.sqlite']
  const states = async () => (await json(cwd, ['migrate', 'status', ...db])).map(({ state }) => state)
  assert.deepEqual(await states(), ['pending', 'pending'])
  const dry = await json(cwd, ['migrate', 'run', ...db, '--dry-run'])
  assert.equal(dry.planned.length, 2)
  assert.deepEqual(await states(), ['pending', 'pending'])
  assert.equal((await json(cwd, ['migrate', 'run', ...db, '--steps', '1'])).applied.length, 1)
  assert.deepEqual(await states(), ['applied', 'pending'])
  assert.equal(
    sqlite3(file, "SELECT group_concat(name) FROM sqlite_schema WHERE name IN ('orders', 'later')"),
    'orders',
  )
  const irreversible = await run(cwd, ['migrate', 'run', ...db])
  assert.equal(irreversible.code, 0)
  const refused = await run(cwd, ['migrate', 'revert', ...db])
  assert.deepEqual([refused.code, /migration_irreversible/.test(refused.err)], [1, true])
  writeFileSync(path.join(cwd, 'migrations/99990101000000_later.sql'), 'CREATE TABLE changed (n);\n')
  const changed = await run(cwd, ['migrate', 'run', ...db])
  assert.match(changed.err, /migration_checksum_mismatch/)
  assert.deepEqual(await states(), ['applied', 'modified'], 'status shows what the other commands refuse')
  writeFileSync(path.join(cwd, 'migrations/0001_late.sql'), 'CREATE TABLE late (n);\n')
  rmSync(path.join(cwd, 'migrations/99990101000000_later.sql'))
  assert.deepEqual(await states(), ['out_of_order', 'applied', 'missing'])
  assert.equal(sqlite3(file, 'SELECT n FROM before'), '7')
})

test('migrate new keeps the letters and digits of any script', async () => {
  const cwd = folder()
  for (const [name, expected] of [
    ['ü 😀', 'ü'],
    ['Größe ❤️ ändern!', 'größe_ändern'],
    ['добавить заказы', 'добавить_заказы'],
    ['नोट्स', 'नोट्स'],
    ['u\u0308 2', 'ü_2'],
  ]) {
    const { files } = await json(cwd, ['migrate', 'new', name])
    assert.equal(path.basename(files[0]).replace(/^\d{14}_/, ''), `${expected}.up.sql`)
  }
  assert.equal((await run(cwd, ['migrate', 'lint'])).code, 0)
  const { code, err } = await run(cwd, ['migrate', 'new', '❤️ 😀'])
  assert.deepEqual([code, /has no letters or digits/.test(err)], [2, true])
})

test('types leaves out a view that can not be read, with a warning', async () => {
  const cwd = folder()
  sqlite3(
    path.join(cwd, 'app.sqlite'),
    'CREATE TABLE notes(body TEXT); CREATE TABLE old(n); CREATE VIEW broken AS SELECT n FROM old; DROP TABLE old',
  )
  const { module } = await json(cwd, ['types', 'app.sqlite'])
  assert.deepEqual([/notes/.test(module), /broken/.test(module)], [true, false])
  const { err } = await run(cwd, ['types', 'app.sqlite'])
  assert.match(err, /warning: The view broken can't be read, so it is left out: no such table/)
})

test('migrate run makes a new file only with --create', async () => {
  const cwd = folder()
  mkdirSync(path.join(cwd, 'migrations'))
  writeFileSync(path.join(cwd, 'migrations/0001_notes.sql'), 'CREATE TABLE notes (body);\n')
  const refused = await run(cwd, ['migrate', 'run', 'new.sqlite'])
  assert.deepEqual([refused.code, /--create/.test(refused.err)], [1, true])
  const dry = await json(cwd, ['migrate', 'run', 'new.sqlite', '--create', '--dry-run'])
  assert.deepEqual([dry.planned.length, existsSync(path.join(cwd, 'new.sqlite'))], [1, false])
  for (const applied of [1, 0])
    assert.equal((await json(cwd, ['migrate', 'run', 'new.sqlite', '--create'])).applied.length, applied)
  assert.equal(sqlite3(path.join(cwd, 'new.sqlite'), 'SELECT name FROM sqlite_schema ORDER BY name LIMIT 1'), 'notes')
})

test('migrate lint exits with 1 for what fails or has no effect, not for what may be meant', async () => {
  const cwd = folder()
  const write = (file, sql) => writeFileSync(path.join(cwd, 'migrations', file), sql)
  const lint = async (...args) => {
    const { code, out } = await run(cwd, ['migrate', 'lint', ...args])
    return [code, out]
  }
  mkdirSync(path.join(cwd, 'migrations'))
  write('0001_a.sql', 'CREATE TABLE a (n)')
  const missing = "0001:1: It can't be reverted: it has no `down` (no_down)\n"
  assert.deepEqual(await lint(), [0, missing])
  write('0002_b.up.sql', 'DELETE FROM a')
  write('0002_b.down.sql', 'SELECT 1')
  const [code, out] = await lint()
  assert.deepEqual([code, out.slice(0, missing.length)], [0, missing])
  assert.match(out, /\n0002:1: .* \(delete_without_where\)\n$/)
  write('0002_b.up.sql', 'PRAGMA foreign_keys = OFF')
  const [failed, found] = await lint('--json')
  assert.deepEqual(
    [failed, JSON.parse(found).map((finding) => finding.code)],
    [1, ['no_down', 'pragma_without_effect']],
  )
  assert.equal((await lint())[0], 1)
})

test('types, inspect, verify and snapshots', async () => {
  const cwd = folder()
  const file = path.join(cwd, 'app.sqlite')
  sqlite3(
    file,
    `CREATE TABLE users (id INTEGER PRIMARY KEY, mail TEXT NOT NULL, age INT, photo BLOB, score REAL, "odd name" TEXT, active BOOLEAN NOT NULL);
     CREATE INDEX users_mail ON users (mail); INSERT INTO users VALUES (1, 'a@b', 5, x'00', 1.5, null, 1);
     CREATE TABLE posts (id INTEGER PRIMARY KEY, user_id REFERENCES users (id)); CREATE VIEW adults AS SELECT id, mail FROM users WHERE age > 17;`,
  )
  const { module } = await json(cwd, ['types', 'app.sqlite'])
  assert.match(
    module,
    /users: \{\n {4}id: number\n {4}mail: string\n {4}age: number \| null\n {4}photo: Uint8Array \| null\n/,
  )
  assert.match(module, /"odd name": string \| null\n {4}active: 0 \| 1\n/)
  assert.match(module, /adults: \{\n/)
  assert.equal((await run(cwd, ['types', 'app.sqlite', '--out', 'tables.ts'])).code, 0)
  writeFileSync(
    path.join(cwd, 'use.ts'),
    "import type { Tables } from './tables.js'\nexport const user: Tables['users'] = { id: 1, mail: '', age: null, photo: null, score: 1, 'odd name': null, active: 1 }\n",
  )
  const tsc = fileURLToPath(new URL('../../node_modules/.bin/tsc', import.meta.url))
  execFileSync(
    tsc,
    ['--noEmit', '--strict', '--module', 'esnext', '--moduleResolution', 'bundler', '--types', '', 'use.ts'],
    { cwd },
  )

  const text = (await run(cwd, ['inspect', 'app.sqlite'])).out
  assert.match(text, /users: 1 row\n {2}id INTEGER PRIMARY KEY\n {2}mail TEXT NOT NULL\n/)
  assert.match(text, / {2}index users_mail\n/)
  assert.match(text, /views: adults/)
  assert.equal((await run(cwd, ['verify', 'app.sqlite'])).out, 'ok\n')
  sqlite3(file, 'INSERT INTO posts VALUES (1, 99)')
  const broken = await run(cwd, ['verify', 'app.sqlite', '--json'])
  assert.equal(broken.code, 1)
  assert.match(JSON.parse(broken.out).errors[0], /posts: row 1 violates the foreign key to users/)
  const bytes = readFileSync(file)
  writeFileSync(file, bytes.fill(0xff, 4096, 5000))
  const corrupt = await run(cwd, ['verify', 'app.sqlite'])
  assert.equal(corrupt.code, 1)

  const db = await open({ name: 'shop', storage: 'file', path: path.join(cwd, 'shop.tidelock'), onWarning() {} })
  await db.exec('CREATE TABLE t (n); INSERT INTO t VALUES (1)')
  await db.close()
  const where = ['--db', 'shop.tidelock']
  const made = await json(cwd, ['snapshot', 'create', ...where, '--label', 'kept'])
  assert.equal(made.label, 'kept')
  const later = await open({ name: 'shop', storage: 'file', path: path.join(cwd, 'shop.tidelock'), onWarning() {} })
  await later.run('DELETE FROM t')
  const busy = await run(cwd, ['snapshot', 'list', ...where])
  assert.deepEqual([busy.code, /database_in_use/.test(busy.err)], [1, true])
  await later.close()
  assert.ok((await json(cwd, ['snapshot', 'list', ...where])).some(({ id }) => id === made.id))
  assert.equal((await json(cwd, ['snapshot', 'restore', made.id, ...where])).restored, made.id)
  assert.equal((await json(cwd, ['verify', 'shop.tidelock'])).ok, true)
  const back = await open({ name: 'shop', storage: 'file', path: path.join(cwd, 'shop.tidelock'), onWarning() {} })
  assert.deepEqual(await back.query('SELECT n FROM t'), [{ n: 1 }])
  await back.close()
})

test('verify reports damage that the opening passes over', async () => {
  const cwd = folder()
  const program = `
    import { open } from '${new URL('../../pkg-js/dist/index.js', import.meta.url)}'
    const db = await open({ name: 'shop', storage: 'file', path: 'shop.tidelock' })
    await db.exec('CREATE TABLE t (v)')
    for (let n = 0; n < 9; n++) await db.run('INSERT INTO t VALUES (?)', ['commit ' + n])
    process.kill(process.pid, 'SIGKILL')`
  const killed = spawn(process.execPath, ['--input-type=module', '-e', program], { cwd, stdio: 'inherit' })
  assert.deepEqual(await once(killed, 'exit'), [null, 'SIGKILL'])
  const journal = path.join(cwd, 'shop.tidelock', 'journal.1')
  const bytes = readFileSync(journal)
  bytes[bytes.indexOf('commit 4')] ^= 1
  writeFileSync(journal, bytes)
  const checked = await run(cwd, ['verify', 'shop.tidelock'])
  assert.equal(checked.code, 1, checked.err)
  assert.match(checked.out, /^journal\.1 was damaged, or not written whole .*: the last commits in it are lost$/m)
  // Nothing was written.
  assert.equal((await run(cwd, ['verify', 'shop.tidelock'])).code, 1)
})

test('commands that write leave the snapshots and the page log to the options of the app', async () => {
  const cwd = folder()
  const options = {
    name: 'app',
    storage: 'file',
    path: path.join(cwd, 'app'),
    snapshots: { keep: 10, onHidden: false },
  }
  const db = await open(options)
  await db.exec('CREATE TABLE t (n)')
  for (let n = 0; n < 6; n++) {
    await db.run('INSERT INTO t VALUES (?)', [n])
    await db.snapshots.create()
  }
  const [first] = (await db.snapshots.history()).points
  await db.close()
  const listed = async () => (await json(cwd, ['snapshot', 'list', 'app'])).map(({ id }) => id)
  const before = await listed()
  assert.equal(before.length, 6)
  await json(cwd, ['snapshot', 'create', 'app', '--label', 'before the import'])
  await json(cwd, ['snapshot', 'create', 'app'])
  mkdirSync(path.join(cwd, 'migrations'))
  writeFileSync(path.join(cwd, 'migrations/0001_u.sql'), 'CREATE TABLE u (x)')
  await json(cwd, ['migrate', 'run', 'app'])
  const after = await listed()
  assert.deepEqual(
    before.filter((id) => !after.includes(id)),
    [],
  )
  await json(cwd, ['snapshot', 'restore', 'app', '--at', first.at])
  const restored = await listed()
  assert.deepEqual(
    after.filter((id) => !restored.includes(id)),
    [],
  )
})

test('doctor', async () => {
  const cwd = folder()
  const local = await json(cwd, ['doctor'])
  assert.equal(local.ok, true)
  const { code, out } = await run(cwd, ['doctor', '--tables', 'products,absent'], supabase())
  assert.equal(code, 1)
  assert.match(out, /^ok {3}table products: /m)
  assert.match(out, /^FAIL table absent: /m)
})
