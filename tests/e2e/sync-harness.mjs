// What the sync specs share: a real remote, and a database in a page that knows it.
import { beforeEach } from 'node:test'
import { freshName, suite, test } from './harness.mjs'

export { freshName, test }

/** The suite of the spec that imports this, with the shop's tables on its remote. */
export const context = suite({ remote: { seed: 'shop', schemas: ['public', 'other'] } })

export const alice = '11111111-1111-4111-8111-111111111111'

beforeEach(() => {
  context.remote.faults.clear()
  context.remote.stats.reset()
  context.remote.realtime.reset()
})

/** Remote options for these tables, anonymous unless said otherwise. */
export function remoteOptions(tables, more = {}) {
  return { url: context.remote.url, key: context.remote.anonKey, tables, ...more }
}

/**
 * Runs `work(db, argument, reopen)` in a fresh tab on a database with this schema and remote. `argument.token` becomes the
 * access token. `reopen(options)` closes and opens again.
 */
export async function withDatabase({ schema, remote, options = {}, name = freshName() }, work, argument = {}) {
  const page = await context.page()
  try {
    return await page.evaluate(
      async ([source, given, value]) => {
        const accessToken = value.token ? async () => value.token : undefined
        const full = (changes) => ({
          ...given,
          ...changes,
          ...(given.remote && { remote: { ...given.remote, accessToken, ...changes?.remote } }),
        })
        let db = await window.open(full())
        const reopen = async (changes) => {
          await db.close()
          db = await window.open(full(changes))
          return db
        }
        try {
          return await new Function(`return (${source})`)()(db, value, reopen)
        } finally {
          await db.close()
        }
      },
      [
        work.toString(),
        { name, migrations: [{ version: '1', name: 'schema', up: schema }], remote, ...options },
        argument,
      ],
    )
  } finally {
    await page.close()
  }
}

/** Makes a table on the remote: `(name, columns, rows as SQL)`, open to all users. */
export async function remoteTable(name, columns, values = '') {
  await context.remote.sql(
    `drop table if exists ${name} cascade; create table ${name} (${columns}); ${values ? `insert into ${name} values ${values}` : ''}`,
  )
}

let tables = 0

/** A table name that no other test has. */
export const tableName = () => `t${++tables}`
