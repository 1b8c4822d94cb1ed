// The module that `npx tidelock types` writes: what it says of each column holds for what the database takes and gives.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { open } from '../../pkg-js/dist/index.js'

const main = fileURLToPath(new URL('../../pkg-js/dist/cli/main.js', import.meta.url))
const tsc = fileURLToPath(new URL('../../node_modules/typescript/bin/tsc', import.meta.url))
const cwd = mkdtempSync(path.join(tmpdir(), 'tidelock-types-'))
after(() => rmSync(cwd, { recursive: true, force: true }))

const schema = `
  CREATE TABLE events (
    id INTEGER PRIMARY KEY, title TEXT NOT NULL, place TEXT, seats INT NOT NULL DEFAULT 10, open BOOLEAN NOT NULL DEFAULT 1,
    starts TIMESTAMP NOT NULL, day DATE, tags JSON TEXT, extra JSON, price REAL, poster BLOB, other,
    code UUID, meta JSONB, packed JSONB BLOB,
    label TEXT AS (title || seats)
  );
  CREATE TABLE seats (event INTEGER NOT NULL, row TEXT NOT NULL, PRIMARY KEY (event, row)) WITHOUT ROWID;
  CREATE VIEW titles AS SELECT title FROM events;
  CREATE VIEW details AS SELECT id, seats, other, poster FROM events;
`
writeFileSync(path.join(cwd, 'schema.sql'), schema)
const written = (...options) => {
  const out = path.join(cwd, `tables${options.length}.ts`)
  execFileSync(process.execPath, [main, 'types', '--schema', 'schema.sql', '--out', out, ...options], { cwd })
  return out
}
const compiled = (program) => {
  const file = path.join(cwd, 'use.ts')
  writeFileSync(file, program)
  const options = {
    strict: true,
    noEmit: true,
    module: 'esnext',
    moduleResolution: 'bundler',
    target: 'es2022',
    types: [],
  }
  const project = { files: ['use.ts'], compilerOptions: { ...options, exactOptionalPropertyTypes: true } }
  writeFileSync(path.join(cwd, 'tsconfig.json'), JSON.stringify(project))
  try {
    execFileSync(process.execPath, [tsc, '-p', cwd], { cwd, encoding: 'utf8' })
  } catch (error) {
    assert.fail(error.stdout)
  }
}

test('rows, inserts and updates have the types of what the database gives and takes', async () => {
  written()
  compiled(`
    import type { DateText, Inserts, Json, Tables, Timestamp, Updates } from './tables0.js'
    const least: Inserts['events'] = { title: 'a', starts: new Date() }
    const whole: Inserts['events'] = {
      id: 1n, title: 'a', place: null, seats: 5, open: true, starts: '2026-11-20T10:00:00Z', day: '2026-11-20', tags: '[]',
      extra: '{}', price: 1.5, poster: new Uint8Array(1), other: 'any',
      code: '0190d5b4-5a7e-7cc1-8000-000000000000', meta: '[]', packed: new Uint8Array(1),
    }
    const key: Inserts['seats'] = { event: 1, row: 'a' }
    const update: Updates['events'] = { open: false, place: null }
    const row = (event: Tables['events']): [number, string, 0 | 1, Timestamp, DateText | null, Json | null, string | null] =>
      [event.id, event.title, event.open, event.starts, event.day, event.tags, event.label]
    const newer = (event: Tables['events']): [string | null, Json | number | null, Uint8Array | null] =>
      [event.code, event.meta, event.packed]
    const title: Tables['titles']['title'] = 'a'
    const details: Tables['details'][] = [{ id: 1, seats: 5, other: 'text', poster: null }, { id: 1, seats: 5, other: 2, poster: new Uint8Array(1) }]
    // @ts-expect-error: a title must be given
    const none: Inserts['events'] = { starts: '' }
    // @ts-expect-error: generated
    const generated: Inserts['events'] = { title: '', starts: '', label: '' }
    // @ts-expect-error: no table
    const view: Inserts['titles'] = {}
    // @ts-expect-error: not null
    const cleared: Updates['events'] = { title: null }
    export { least, whole, key, update, row, newer, title, details, none, generated, view, cleared }
  `)
  const db = await open({ name: 'types', storage: 'memory' })
  await db.exec(schema)
  const given = { title: 'a', starts: new Date(0), open: true, tags: '[5]', day: '2026-11-20' }
  // A number but for its hyphens.
  const codes = { code: '00000000-0000-0000-0000-000000000001', meta: '{"a":1}', packed: new Uint8Array([1]) }
  const names = Object.keys({ ...given, ...codes })
  await db.run(`INSERT INTO events (${names}) VALUES (${names.map((name) => `:${name}`)})`, { ...given, ...codes })
  const stored = await db.get(`SELECT ${names} FROM events`)
  assert.deepEqual(stored, { ...given, ...codes, starts: '1970-01-01T00:00:00.000Z', open: 1 })
  await db.close()
})

test('--bigint makes all integers of rows bigint', async () => {
  written('--bigint')
  compiled(`
    import type { Inserts, Tables } from './tables1.js'
    export const row = (event: Tables['events']): [bigint, bigint, 0n | 1n] => [event.id, event.seats, event.open]
    export const both: Inserts['events'][] = [{ title: '', starts: '', seats: 1, open: 1 }, { title: '', starts: '', seats: 1n, open: false }]
  `)
  const db = await open({ name: 'types', storage: 'memory', integers: 'bigint' })
  await db.exec(schema)
  await db.run("INSERT INTO events (title, starts) VALUES ('a', 'b')")
  const { id, open: isOpen } = await db.get('SELECT * FROM events')
  assert.deepEqual([id, isOpen], [1n, 1n])
  await db.close()
})

test('names that would change how the module is displayed are escaped', () => {
  writeFileSync(path.join(cwd, 'odd.sql'), 'CREATE TABLE "a\u202eb\u2028" ("c\u2066" TEXT)')
  const out = path.join(cwd, 'odd.ts')
  execFileSync(process.execPath, [main, 'types', '--schema', 'odd.sql', '--out', out], { cwd })
  const text = readFileSync(out, 'utf8')
  assert.doesNotMatch(text, /[\p{Bidi_Control}\p{Zl}]/u)
  assert.match(text, /"a\\u202eb\\u2028".*"c\\u2066"/s)
})
