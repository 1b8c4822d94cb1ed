// What the sync specs share: a real remote, and a database in a page that knows it.
import { once } from 'node:events'
import http from 'node:http'
import { beforeEach } from 'node:test'
import { freshName, suite, test } from './harness.mjs'

export { freshName, test }

/** The suite of the spec that imports this, with the shop's tables on its remote. */
export const context = suite({ remote: { seed: 'shop', schemas: ['public', 'other'] } })

export const alice = '11111111-1111-4111-8111-111111111111'
export const bob = '22222222-2222-4222-8222-222222222222'

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

/** Makes a table on the remote: `(name, columns, rows as SQL)`, open to everybody. */
export async function remoteTable(name, columns, values = '') {
  await context.remote.sql(
    `drop table if exists ${name} cascade; create table ${name} (${columns}); ${values ? `insert into ${name} values ${values}` : ''}`,
  )
}

let tables = 0

/** A table name that no other test has. */
export const tableName = () => `t${++tables}`
/** A column of a report, over all tables. */
export const total = (report, column) => report.tables.reduce((sum, table) => sum + table[column], 0)

/** Lets a page have things done here, in the midst of its work: `fetch(url/name)` runs the function of that name and gives its result. */
export async function actions(functions) {
  const server = http.createServer(async (request, response) => {
    try {
      const result = await functions[request.url.slice(1)]()
      response.writeHead(200, { 'access-control-allow-origin': '*' }).end(JSON.stringify(result ?? null))
    } catch (error) {
      response.writeHead(500, { 'access-control-allow-origin': '*' }).end(String(error?.stack))
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    async stop() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
