// Sensitive columns on a remote, which gets their ciphertext, and never a key.
import assert from 'node:assert/strict'
import { decrypted, encrypted, randomKey } from '../run/column-values.mjs'
import { total, withSchema } from '../run/remote.mjs'

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
const fromHex = (text) => Uint8Array.from(text.match(/../g), (pair) => Number.parseInt(pair, 16))

export default {
  'encrypted columns sync as ciphertext, and another device with the key reads them': async ({
    open,
    remote,
    failure,
  }) => {
    const table = remote.tableName()
    const key = randomKey()
    const theirs = hex(await encrypted('written by a server', key))
    await remote.table(
      table,
      'id bigint primary key, label text, secret bytea, updated_at timestamptz not null default clock_timestamp()',
      `(1, 'server', '\\x${theirs}')`,
    )
    const device = (columnKey) =>
      open({
        ...withSchema(`CREATE TABLE ${table} (id INTEGER PRIMARY KEY, label TEXT, secret BLOB, updated_at TEXT)`),
        remote: remote.options([{ table, cursor: 'updated_at' }]),
        columnKey,
        audit: { tables: [table], redact: ['secret'] },
      })
    const onServer = async () => {
      const found = await remote.sql(`select encode(secret, 'hex') as secret from ${table} order by id`)
      return Promise.all(found.map(({ secret }) => decrypted(fromHex(secret), key)))
    }
    const texts = ['written by a server, and changed', 'written by a device, ü']

    const db = await device(key)
    await db.sync.run()
    await db.run(`INSERT INTO ${table} (id, label, secret) VALUES (2, 'device', encrypt(?))`, [texts[1]])
    await db.run(`UPDATE ${table} SET secret = encrypt(decrypt(secret) || ', and changed') WHERE id = 1`)
    const [pushed] = (await db.sync.push()).tables
    assert.deepEqual([pushed.inserted, pushed.updated], [1, 1])
    assert.deepEqual(await onServer(), texts)
    await db.sync.pull()
    assert.equal(total(await db.sync.push(), 'updated'), 0)
    const audited = await db.query("SELECT new_values FROM audit_log WHERE actor IS NOT 'sync'")
    assert.deepEqual(
      audited.map(({ new_values }) => JSON.parse(new_values).secret),
      ['[redacted]', '[redacted]'],
    )

    const other = await device(key)
    await other.sync.pull()
    assert.deepEqual(
      await other.query(`SELECT decrypt(secret) FROM ${table} ORDER BY id`, [], { rowMode: 'array' }),
      texts.map((text) => [text]),
    )

    // Without the key they are ordinary blobs.
    const without = await device()
    await without.sync.pull()
    await without.run(`UPDATE ${table} SET label = 'renamed' WHERE id = 2`)
    assert.equal((await without.sync.push()).tables[0].updated, 1)
    assert.equal((await failure(without.query(`SELECT decrypt(secret) FROM ${table}`))).code, 'sqlite_error')
    assert.deepEqual(await onServer(), texts)
  },
}
