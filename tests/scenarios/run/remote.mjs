// The remote as scenarios see it, in Node and in pages alike: each call goes through `call(name, ...args)`, whose arguments and
// results are plain data, so a page can be given it as a binding. This file is loaded by both: it imports nothing.

/** Names that PostgREST and SQLite both take without quoting. */
let tables = 0

export const alice = '11111111-1111-4111-8111-111111111111'
export const bob = '22222222-2222-4222-8222-222222222222'

/** `facts`: `url`, `anonKey`, `serviceKey`, `publishableKey`, `secretKey` of the remote (tests/remote/index.mjs). */
export function remoteFacade(facts, call) {
  const remote = {
    ...facts,
    /** Runs SQL as the database's owner → rows, values as PostgreSQL prints them. */
    sql: (text, params) => call('sql', text, params),
    /** The token of a signed-in user. */
    jwt: (sub, claims) => call('jwt', sub, claims),
    /** Trouble for requests to come (tests/remote/faults.mjs); `path` is a RegExp. */
    async fault({ path, ...fault }) {
      const id = await call('fault', { ...fault, path: path?.source })
      return { met: () => call('faultMet', id), remove: () => call('removeFault', id) }
    },
    clearFaults: () => call('clearFaults'),
    /** The requests so far, preflights apart: `{ method, path, table, status, ms, bytes, fault, headers }`. */
    requests: ({ table, method } = {}) =>
      call('requests').then((all) =>
        all.filter((each) => (!table || each.table === table) && (!method || each.method === method)),
      ),
    resetRequests: () => call('resetRequests'),
    killConnections: () => call('killConnections'),
    /** A connection of its own to PostgreSQL, for transactions that stay open. */
    async session() {
      const id = await call('openSession')
      return { query: (text) => call('sessionQuery', id, text), end: () => call('endSession', id) }
    },
    /** One more gateway to the same remote, for instance with `{ prefix: '' }` → its URL. */
    another: (options) => call('another', options),
    /** A table name that no other scenario has. */
    tableName: () => `t${++tables}`,
    /** Makes a table, open to everybody: `(name, columns, rows as SQL)`. */
    async table(name, columns, values = '') {
      await remote.sql(
        `drop table if exists ${name} cascade; create table ${name} (${columns}); ${values ? `insert into ${name} values ${values}` : ''}`,
      )
    },
    /** The option `remote` for these tables, anonymous unless said otherwise. */
    options: (tables, more = {}) => ({ url: facts.url, key: facts.anonKey, tables, ...more }),
  }
  return remote
}

/** Options of `open` for one migration, `schema`. */
export const withSchema = (schema) => ({ migrations: [{ version: '1', name: 'schema', up: schema }] })

/** A column of a report, over all tables. */
export const total = (report, column) => report.tables.reduce((sum, table) => sum + table[column], 0)
