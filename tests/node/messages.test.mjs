// Every message of the command line, as a user reads it.
import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { open } from '../../pkg-js/dist/index.js'
import { Shown } from '../messages/golden.mjs'
import { runCommand } from './command-line.mjs'

const interrupted = 'a pull that is interrupted'

test('the command line', async () => {
  const base = mkdtempSync(path.join(tmpdir(), 'tidelock-messages-'))
  let child
  /** Runs a command line; one that is to be interrupted is `child`. */
  const run = (args, done) =>
    runCommand([...args, '--json'], {
      cwd: base,
      env: { HOME: base },
      ...(done === interrupted && { signal: (started) => (child = started) }),
    })
  // A remote without a table `u`, and slow for `t`, so that the user can press Ctrl-C.
  const server = createServer((request, response) => {
    if (request.url.includes('/t?')) return child.kill('SIGINT')
    response.statusCode = 404
    response.end('{}')
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const there = `http://127.0.0.1:${server.address().port}`
  const shown = new Shown('command-line', (text) =>
    text.replaceAll(base, '<folder>').replaceAll(/\.\d+\.new/g, '.<process>.new'),
  )
  try {
    mkdirSync(path.join(base, 'migrations'))
    writeFileSync(path.join(base, 'migrations', '0001_a.sql'), 'CREATE TABLE t(a);')
    writeFileSync(path.join(base, 'text.sqlite'), 'no database')
    writeFileSync(path.join(base, 'schema.sql'), 'CREATE TABLE t(id INTEGER PRIMARY KEY);')
    writeFileSync(path.join(base, 'keyless.env'), 'SUPABASE_URL=http://127.0.0.1:1\n')
    writeFileSync(path.join(base, 'full.env'), 'SUPABASE_URL=http://127.0.0.1:1\nSUPABASE_ANON_KEY=k\n')
    writeFileSync(path.join(base, 'there.env'), `SUPABASE_URL=${there}\nSUPABASE_ANON_KEY=k\n`)
    const db = await open({ name: 'made', storage: 'memory' })
    await db.exec('CREATE TABLE t(id INTEGER PRIMARY KEY)')
    writeFileSync(path.join(base, 'made.sqlite'), await db.export())
    await db.close()
    const old = [{ version: '0001', name: 'a', up: 'CREATE TABLE old(a)' }]
    const changed = await open({ name: 'changed', storage: 'memory', migrations: old })
    writeFileSync(path.join(base, 'changed.sqlite'), await changed.export())
    await changed.close()
    mkdirSync(path.join(base, 'none'))
    copyFileSync(path.join(base, 'made.sqlite'), path.join(base, 'left.sqlite'))
    for (const file of ['left', 'lost']) writeFileSync(path.join(base, `${file}.sqlite-journal`), 'a transaction')
    // Each pull has its own file: a pull would resume an interrupted one of the same file.
    let files = 0
    const pull = (args, env = 'full.env', out = `${++files}.sqlite`) => ['pull', ...args, '--out', out, '--env', env]
    for (const [done, args] of Object.entries({
      'a command that there is not': ['fly'],
      'a command that is misspelled': ['migrate', 'rnu'],
      'an option that there is not': ['doctor', '--fast'],
      'an option that is misspelled': ['doctor', '--tabels', 'a'],
      'an operand too few': ['inspect'],
      'an operand too many': ['inspect', 'a', 'b'],
      'an option that is needed': ['push', 'made.sqlite'],
      'a database that is needed': ['snapshot', 'restore', '1'],
      'a database that is given twice': ['migrate', 'status', 'made.sqlite', '--db', 'made.sqlite'],
      'a file that is not there': ['inspect', 'nowhere.sqlite'],
      'a file that was not closed': ['inspect', 'left.sqlite'],
      'a journal of a file that is not there': ['migrate', 'run', 'lost.sqlite', '--create'],
      'a file that is none': ['verify', 'text.sqlite'],
      'an environment that is not there': pull(['--tables', 't'], 'nowhere.env'),
      'no remote': ['pull', '--tables', 't', '--out', 'x.sqlite'],
      'an address that is none': pull(['--tables', 't', '--url', 'localhost']),
      'no key': pull(['--tables', 't'], 'keyless.env'),
      'tables and all of them': pull(['--tables', 't', '--all']),
      'a table that the schema lacks': pull(['--tables', 'u', '--schema', 'schema.sql']),
      'a key for all tables': pull(['--all', '--pk', 't=id']),
      'a key that is not understood': pull(['--tables', 't', '--pk', 't']),
      'a key for another table': pull(['--tables', 't', '--pk', 'u=id']),
      'a schema for what has one': pull(['--tables', 'u', '--schema', 'schema.sql'], 'full.env', 'made.sqlite'),
      'a folder of migrations that is not there': ['migrate', 'status', '--dir', 'nowhere', '--db', 'made.sqlite'],
      'a migration without a name': ['migrate', 'new', '!!!'],
      'a table that the remote lacks': pull(['--tables', 'u', '--pk', 'u=id'], 'there.env'),
      'a remote that is not there': pull(['--tables', 'u', '--pk', 'u=id']),
      [interrupted]: pull(['--tables', 't', '--schema', 'schema.sql'], 'there.env'),
      'a file in a folder that is not there': ['types', 'made.sqlite', '--out', 'nowhere/types.ts'],
      'a migration that was changed': ['migrate', 'run', 'changed.sqlite'],
      'a migration that the folder lacks': ['migrate', 'run', 'changed.sqlite', '--dir', 'none'],
      'a framework that is not known': ['init', '--framework', 'angular'],
      'a time that is none': ['snapshot', 'restore', 'made.sqlite', '--at', 'yesterday'],
      'steps that are none': ['migrate', 'revert', '--db', 'made.sqlite', '--steps', 'two'],
      'types of a folder of migrations': ['types', 'migrations'],
      'types of two schemas': ['types', 'made.sqlite', '--schema', 'schema.sql'],
      'nothing to restore': ['snapshot', 'restore', '--db', 'made.sqlite'],
      'snapshots of a file': ['snapshot', 'list', '--db', 'made.sqlite'],
    })) {
      const { out, err } = await run(args, done)
      assert.equal(out, '', done)
      let error
      try {
        // Warnings come before it, each as a line of its own.
        error = JSON.parse(err.trim().split('\n').at(-1)).error
      } catch {
        assert.fail(`${done}: ${err}`)
      }
      assert.ok(error, `${done}: ${err}`)
      shown.add(done, error)
    }
    shown.check()
  } finally {
    server.closeAllConnections()
    server.close()
    rmSync(base, { recursive: true, force: true })
  }
})
