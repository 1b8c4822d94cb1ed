// The command line with hostile input: files and scripts without end, links in a cycle.
import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { open } from '../../pkg-js/dist/index.js'
import { cli, runCommand } from './command-line.mjs'

const base = mkdtempSync(path.join(tmpdir(), 'tidelock-hostile-cli-'))
after(() => rmSync(base, { recursive: true, force: true }))

/** Runs the command line, for a minute at most → `{ code, out }`. */
async function tidelock(...args) {
  const env = { SUPABASE_URL: 'http://127.0.0.1:1', SUPABASE_SECRET_KEY: 'the-key-of-this-project' }
  const { code, out, err } = await runCommand(args, { cwd: base, env, timeout: 60_000 })
  return { code, out: out + err }
}

const endless = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n'

execFileSync('mkfifo', [path.join(base, 'pipe'), path.join(base, 'pipe.sql')])
symlinkSync('/dev/zero', path.join(base, 'zero'))
writeFileSync(path.join(base, 'sparse'), '')
truncateSync(path.join(base, 'sparse'), 2 ** 40)
mkdirSync(path.join(base, 'odd'))
symlinkSync(path.join(base, 'pipe.sql'), path.join(base, 'odd', '0001_a.sql'))

for (const args of [
  ['inspect', '/dev/zero'],
  ['verify', '/dev/zero'],
  ['types', '/dev/zero'],
  ['inspect', 'zero'],
  ['inspect', 'pipe'],
  ['push', 'pipe', '--tables', 'a'],
  ['inspect', 'sparse'],
  ['snapshot', 'list', '--db', 'pipe'],
  ['migrate', 'status', '--db', 'zero', '--dir', 'empty'],
  ['types', '--schema', '/dev/zero'],
  ['types', '--schema', 'pipe'],
  ['types', '--dir', 'odd'],
  ['migrate', 'lint', '--dir', 'odd'],
  ['doctor', '--tables', 'a', '--env', '/dev/zero'],
  ['doctor', '--tables', 'a', '--key-file', '/dev/zero'],
  ['pull', '--tables', 'a', '--out', 'zero', '--schema', '/dev/zero'],
]) {
  test(`${args.join(' ')} refuses a file that is not regular`, { timeout: 90_000 }, async () => {
    mkdirSync(path.join(base, 'empty'), { recursive: true })
    const { code, out } = await tidelock(...args)
    assert.equal(code, 1, out)
    assert.match(out, /\(invalid_argument\)/)
  })
}

test('output replaces regular files only', { timeout: 90_000 }, async () => {
  writeFileSync(path.join(base, 'schema.sql'), 'CREATE TABLE t (a)')
  for (const out of ['pipe', 'zero', 'empty']) {
    const { code, out: said } = await tidelock('types', '--schema', 'schema.sql', '--out', out)
    assert.equal(code, 1, said)
    assert.match(said, /\(storage_unavailable\)/)
  }
  assert.ok(lstatSync(path.join(base, 'pipe')).isFIFO())
  assert.ok(lstatSync(path.join(base, 'zero')).isSymbolicLink())
  assert.ok(existsSync('/dev/zero'))
})

test('keys may come from a pipe', { timeout: 90_000 }, async () => {
  const script = `echo SUPABASE_SECRET_KEY=another-key | "${process.execPath}" "${cli}" doctor --env /dev/stdin --url http://127.0.0.1:1 --json`
  const ran = await new Promise((resolve) => execFile('sh', ['-c', script], (_, stdout) => resolve(stdout)))
  assert.ok(ran.includes('127.0.0.1:1') && !ran.includes('another-key'), ran)
})

test('a schema and migrations without end are cancelled', { timeout: 200_000 }, async () => {
  const dir = path.join(base, 'endless')
  mkdirSync(dir)
  writeFileSync(path.join(dir, '0001_a.sql'), `CREATE TABLE t AS ${endless};`)
  writeFileSync(path.join(base, 'endless.sql'), `CREATE TABLE t AS ${endless};`)
  const ran = await Promise.all([
    tidelock('types', '--schema', 'endless.sql'),
    tidelock('migrate', 'lint', '--dir', 'endless'),
  ])
  assert.deepEqual(
    ran.map(({ code, out }) => [code, /\((\w+)\)$/m.exec(out)?.[1]]),
    [
      [1, 'timeout'],
      [1, 'timeout'],
    ],
  )
})

test('inspect ends, whatever the tables of a file are', { timeout: 90_000 }, async () => {
  const db = await open({ name: 'endless', storage: 'memory', snapshots: false })
  await db.exec(`CREATE TABLE small (id INTEGER PRIMARY KEY); CREATE VIEW numbers (i, a) AS ${endless.replace('max(i)', "i, 'a'")};
    CREATE VIRTUAL TABLE found USING fts5(a, content = numbers, content_rowid = i)`)
  writeFileSync(path.join(base, 'endless.sqlite'), await db.export())
  await db.close()
  const { code, out } = await tidelock('inspect', 'endless.sqlite')
  assert.equal(code, 0, out)
  assert.match(out, /^found: rows not counted within 5 s$/m)
  assert.match(out, /^small: /m)
})

test('cyclic links in the folder of migrations are not followed', { timeout: 90_000 }, async () => {
  const dir = path.join(base, 'circle')
  mkdirSync(dir)
  writeFileSync(path.join(dir, '0001_a.sql'), 'CREATE TABLE t (a INTEGER)')
  for (const name of ['one', 'two', 'three']) symlinkSync('.', path.join(dir, name))
  const { code, out } = await tidelock('types', '--dir', 'circle')
  assert.equal(code, 0, out)
  assert.match(out, /a: number \| null/)
})

// In /proc, Linux says of a folder that exists that it doesn't, and Node's recursive mkdir tries again for ever.
for (const folder of ['/proc/none/migrations', 'sparse']) {
  test(`migrate new --dir ${folder} refuses a folder that can't be made`, { timeout: 90_000 }, async () => {
    const { code, out } = await tidelock('migrate', 'new', 'first', '--dir', folder)
    assert.equal(code, 1, out)
    assert.match(out, /can't be created as a folder|is a file, not a folder/)
  })
}
