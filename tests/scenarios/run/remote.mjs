// The remote of scenarios, in Node and in pages. Each call goes through `call(name, ...args)` with plain data, so that a page can get it as
// a binding. Both load this file, so it imports nothing.

/** The number of tables so far, for unique names that need no quotes in PostgREST and SQLite. */
let tables = 0

export const alice = '11111111-1111-4111-8111-111111111111'
export const bob = '22222222-2222-4222-8222-222222222222'

/** `facts`: `url`, `anonKey`, `serviceKey`, `publishableKey`, `secretKey` of the remote (tests/remote/index.mjs). */
export function remoteFacade(facts, call) {
  const remote = {
    ...facts,
    /** Runs SQL as the database's owner → rows, with values as PostgreSQL prints them. */
    sql: (text, params) => call('sql', text, params),
    /** Returns the token of a signed-in user. */
    jwt: (sub, claims) => call('jwt', sub, claims),
    /** Sets faults for later requests (tests/remote/faults.mjs); `path` is a RegExp. */
    async fault({ path, ...fault }) {
      const id = await call('fault', { ...fault, path: path?.source })
      return { met: () => call('faultMet', id), remove: () => call('removeFault', id) }
    },
    clearFaults: () => call('clearFaults'),
    /** Returns the requests so far, without preflights: `{ method, path, table, status, ms, bytes, fault, headers }`. */
    requests: ({ table, method } = {}) =>
      call('requests').then((all) =>
        all.filter((each) => (!table || each.table === table) && (!method || each.method === method)),
      ),
    resetRequests: () => call('resetRequests'),
    killConnections: () => call('killConnections'),
    /** Opens a separate connection to PostgreSQL, for transactions that stay open. */
    async session() {
      const id = await call('openSession')
      return { query: (text) => call('sessionQuery', id, text), end: () => call('endSession', id) }
    },
    /** Starts another gateway to the same remote, for example with `{ prefix: '' }` → its URL. */
    another: (options) => call('another', options),
    /** Returns a unique table name. */
    tableName: () => `t${++tables}`,
    /** Makes a table, open to every role: `(name, columns, rows as SQL)`. */
    async table(name, columns, values = '') {
      await remote.sql(
        `drop table if exists ${name} cascade; create table ${name} (${columns}); ${values ? `insert into ${name} values ${values}` : ''}`,
      )
    },
    /** Returns the option `remote` for these tables, anonymous by default. */
    options: (tables, more = {}) => ({ url: facts.url, key: facts.anonKey, tables, ...more }),
  }
  return remote
}

/** Options of `open` with one migration, `schema`. */
export const withSchema = (schema) => ({ migrations: [{ version: '1', name: 'schema', up: schema }] })

/** Returns a column of a report over all tables. */
export const total = (report, column) => report.tables.reduce((sum, table) => sum + table[column], 0)
