// The output and the files of the command line, when names and responses are hostile.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { runCommand } from './command-line.mjs'

const base = mkdtempSync(path.join(tmpdir(), 'tidelock-terminal-'))
/** Sequences that clear the screen, set the title, begin a line, or change the direction of writing: in 7 bits, in 8 bits, and as marks. */
const harm = 'a\x1b[2J\x1b]0;owned\x07\nok, all is well\r\x9b31m\u202etxt\u2028x'
const shown = 'a\\u001b[2J\\u001b]0;owned\\u0007\\u000aok, all is well\\u000d\\u009b31m\\u202etxt\\u2028x'
const key = 'k3y'
let server
let url

before(async () => {
  server = createServer((request, response) => {
    response.writeHead(400, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ code: 'x', message: `${harm}: ${request.headers.apikey} is no key` }))
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${server.address().port}`
})
after(() => {
  server?.close()
  rmSync(base, { recursive: true, force: true })
})

/** Runs the command line → { code, out, err }. */
const run = (args, env) => runCommand(args, { cwd: base, env })

/** Asserts that there are only printable characters and line ends. */
const isPlain = (text) => !/[^\P{Cc}\n\t]|[\u2028\u2029\p{Bidi_Control}]/u.test(text)

test('names in a file are printed without control characters, each in one line; JSON has them unchanged', async () => {
  const file = path.join(base, 'names.sqlite')
  const quoted = `"${harm}"`
  execFileSync('sqlite3', [file], {
    input: `CREATE TABLE ${quoted} (id INTEGER PRIMARY KEY, ${quoted} TEXT REFERENCES p (id)); CREATE TABLE p (id INTEGER PRIMARY KEY);
      CREATE INDEX "i${harm}" ON ${quoted} (${quoted}); CREATE VIEW "v${harm}" AS SELECT 1; INSERT INTO ${quoted} VALUES (1, 7);`,
  })
  for (const command of ['inspect', 'verify', 'types']) {
    const { out, err } = await run([command, 'names.sqlite'])
    assert.ok(isPlain(out) && isPlain(err), JSON.stringify(out + err))
    assert.doesNotMatch(out, /^ok, all is well/m)
    assert.ok(out.includes(command === 'types' ? 'a\\u001b[2J' : shown), out)
  }
  const { out } = await run(['inspect', 'names.sqlite', '--json'])
  assert.ok(isPlain(out))
  assert.ok(JSON.parse(out).tables.some(({ name }) => name === harm))
  for (const [args, expected] of [
    [[`x${harm}`], 2],
    [['inspect', `missing${harm}`], 1],
  ]) {
    const { code, err } = await run(args)
    assert.equal(code, expected)
    assert.ok(isPlain(err) && err.includes('\\u001b[2J'), err)
  }
})

test('responses of a remote are printed in the same way, and without the key, however short it is', async () => {
  writeFileSync(path.join(base, 'one.sql'), 'CREATE TABLE t (id INTEGER PRIMARY KEY)')
  const pull = ['pull', '--url', url, '--tables', 't', '--schema', 'one.sql', '--out', 'one.sqlite']
  for (const args of [pull, [...pull, '--json']]) {
    const { out, err } = await run(args, { SUPABASE_SECRET_KEY: key, SUPABASE_URL: url })
    assert.ok(isPlain(out) && isPlain(err), JSON.stringify(out + err))
    assert.ok(!(out + err).includes(key), out + err)
    assert.match(out + err, /\*\*\* is no key/)
    if (args.includes('--json')) assert.equal(JSON.parse(err).error.code, 'sync_server')
  }
})

test('files are written under unpredictable names that only their owner may read', async () => {
  const preload = path.join(base, 'preload.mjs')
  writeFileSync(
    preload,
    `import fs from 'node:fs'
     import { syncBuiltinESMExports } from 'node:module'
     const { writeFileSync } = fs
     fs.writeFileSync = (file, bytes, options) => {
       writeFileSync(file, bytes, options)
       console.error('WROTE', JSON.stringify([file, fs.statSync(file).mode & 0o777, options?.flag]))
     }
     syncBuiltinESMExports()`,
  )
  writeFileSync(path.join(base, 'schema.sql'), 'CREATE TABLE t (n INTEGER)')
  const out = path.join(base, 'tables.ts')
  const names = []
  for (const [mode, expected] of [
    [undefined, 0o666 & ~process.umask()],
    [0o640, 0o640],
  ]) {
    if (mode !== undefined) chmodSync(out, mode)
    const { code, err } = await run(['types', '--schema', 'schema.sql', '--out', out], {
      NODE_OPTIONS: `--import ${preload}`,
    })
    assert.equal(code, 0, err)
    const [file, rights, flag] = JSON.parse(/^WROTE (.*)$/m.exec(err)[1])
    assert.deepEqual([rights, flag], [0o600, 'wx'])
    assert.equal(statSync(out).mode & 0o777, expected)
    names.push(file)
  }
  assert.notEqual(names[0], names[1])
  assert.ok(
    names.every((name) => /\.\d+\.new$/.test(name)),
    String(names),
  )
})

test('a pull uses its own folder, not one that another user has prepared', async () => {
  const elsewhere = path.join(base, 'elsewhere')
  mkdirSync(elsewhere)
  writeFileSync(path.join(elsewhere, 'begun-from'), 'nothing')
  writeFileSync(path.join(base, 'one.sql'), 'CREATE TABLE t (id INTEGER PRIMARY KEY)')
  symlinkSync(elsewhere, path.join(base, 'other.sqlite.pulling'))
  const { code } = await run(['pull', '--url', url, '--tables', 't', '--schema', 'one.sql', '--out', 'other.sqlite'], {
    SUPABASE_SECRET_KEY: key,
  })
  assert.equal(code, 1)
  assert.equal(readFileSync(path.join(elsewhere, 'begun-from'), 'utf8'), 'nothing')
  assert.equal(statSync(path.join(base, 'other.sqlite.pulling')).mode & 0o777, 0o700)
})

test('tables that are left out are named without control characters and keys', async () => {
  const keyless = { properties: { id: { format: 'bigint' } } }
  const keyed = { required: ['id'], properties: { id: { format: 'bigint', description: '<pk/>' } } }
  const definitions = { notes: keyed, [`${harm} ${key}`]: keyless }
  const remote = createServer((request, response) => {
    const isRoot = /^\/(rest\/v1\/)?$/.test(request.url)
    response.writeHead(request.url.includes('/rpc/') ? 404 : 200, { 'content-type': 'application/json' })
    response.end(isRoot ? JSON.stringify({ definitions }) : '[]')
  })
  await new Promise((resolve) => remote.listen(0, '127.0.0.1', resolve))
  const env = { SUPABASE_URL: `http://127.0.0.1:${remote.address().port}`, SUPABASE_SECRET_KEY: key }
  const commands = [
    ['schema', 'pull', '--stdout'],
    ['pull', '--all', '--out', 'left-out.sqlite'],
  ]
  for (const command of commands) {
    const { out, err } = await run(command, env)
    assert.match(err, /left out: /)
    assert.ok(isPlain(out) && isPlain(err), JSON.stringify(out + err))
    assert.ok(!err.includes(key), err)
  }
  remote.close()
})

test('an answer that is no list of rows is named', async () => {
  for (const body of ['5', 'null', '{}', '[null]', '{"length":5}']) {
    const remote = createServer((_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(body)
    })
    await new Promise((resolve) => remote.listen(0, '127.0.0.1', resolve))
    const env = { SUPABASE_URL: `http://127.0.0.1:${remote.address().port}`, SUPABASE_SECRET_KEY: key }
    const { code, err } = await run(['pull', '--tables', 'n', '--pk', 'n=id', '--out', 'rows.sqlite'], env)
    assert.notEqual(code, 0)
    assert.match(err, /is not a list of rows/, body)
    remote.close()
  }
})

test('a file name that is too long is an error of the file', async () => {
  execFileSync('sqlite3', [path.join(base, 'long.sqlite')], { input: 'CREATE TABLE t (id INTEGER PRIMARY KEY);' })
  const { err } = await run(['types', 'long.sqlite', '--out', 'x'.repeat(300)])
  assert.match(err, /can't be written/)
})
