// A folder that is moved, or replaced by another one, under a process that has its database open.
import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { isTidelockError, open } from '../../pkg-js/dist/index.js'
import { listing } from './listing.mjs'

const base = mkdtempSync(path.join(tmpdir(), 'tidelock-replaced-'))
after(() => rmSync(base, { recursive: true, force: true }))
const opened = (where) => open({ name: 'shop', storage: 'file', path: where, onWarning: () => {} })

/** Makes a closed database with that many rows, and a snapshot. */
async function made(where, rows) {
  const db = await opened(where)
  await db.exec('CREATE TABLE t (n)')
  for (let n = 0; n < rows; n++) await db.run('INSERT INTO t VALUES (?)', [n])
  await db.snapshots.create()
  await db.close()
}

/** Opens the database; returns the number of its rows. Its lock may be this process's. */
async function rows(where) {
  for (const name of readdirSync(where).filter((name) => name.startsWith('lock'))) rmSync(path.join(where, name))
  const db = await opened(where)
  const [{ count }] = await db.query('SELECT count(*) AS count FROM t')
  await db.close()
  return count
}

const replacements = [
  ['another database', (where, other) => made(other, 2)],
  ['an older copy', (where, other) => cpSync(where, other, { recursive: true })],
]

for (const [what, make] of replacements) {
  test(`a folder replaced by ${what}: the holder writes into neither`, async () => {
    const [where, other, moved] = ['shop', 'other', 'moved'].map((name) => path.join(base, what, name))
    await made(where, 30)
    await make(where, other)
    const db = await opened(where)
    await db.run('INSERT INTO t VALUES (30)')
    renameSync(where, moved)
    renameSync(other, where)
    const before = [listing(moved), listing(where)]
    for (const call of [
      () => db.run('INSERT INTO t VALUES (31)'),
      () => db.run('INSERT INTO t VALUES (32)'),
      () => db.snapshots.create(),
      () => db.flush(),
    ]) {
      await assert.rejects(call(), (error) => isTidelockError(error, 'lock_lost'))
    }
    assert.equal((await db.health()).status, 'failed')
    await db.close()
    assert.deepEqual([listing(moved), listing(where)], before)
    assert.equal(await rows(moved), 31)
    assert.equal(await rows(where), what === 'another database' ? 2 : 30)
  })
}
