// The remote that tests and the demo run against: real PostgreSQL and real PostgREST behind a gateway that plays Supabase's edge.
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { startGateway } from './gateway.mjs'
import { signJwt } from './jwt.mjs'
import { startPostgres } from './postgres.mjs'
import { startPostgrest } from './postgrest.mjs'
import { Processes } from './processes.mjs'

const DDL = /\b(create|alter|drop|comment\s+on)\b/i
/** Changes that PostgREST's schema cache has nothing of: for these it needn't load the schema again, which takes a sixth of a second. */
const UNCACHED = new RegExp(
  [
    String.raw`(create|drop)\s+(trigger|policy|(unique\s+)?index)`,
    String.raw`create\s+(or\s+replace\s+)?function\s+\S+\s+returns\s+trigger`,
    String.raw`alter\s+table\s+\S+\s+(enable|force)\s+row`,
  ].join('|'),
  'gi',
)

/**
 * Starts a remote, in half a second; in two seconds for the first one with a seed and schemas.
 *
 * Options: `seed`, the name of a file in seeds/ (`'shop'`) or SQL text; `maxRows` (1000, as Supabase has it); `schemas`
 * (`['public']`); `prefix` (`'/rest/v1'`, `''` for a bare PostgREST root); `port` of the gateway (0: a free one).
 *
 * What it gives: `url`; `anonKey` and `serviceKey` (JWTs), `publishableKey` and `secretKey` (the newer kind);
 * `jwtFor(sub, claims?)`, a signed-in user's token; `sql(text, params?)` → rows as the database's owner, values as PostgreSQL
 * prints them; `session()`, a `pg` client of its own; `killConnections()`; `faults`, `stats` and `realtime` (see faults.mjs,
 * gateway.mjs and realtime.mjs);
 * `another(options)`, one more gateway to the same remote; `stop()`.
 */
export async function startRemote({ seed = '', maxRows = 1000, schemas = ['public'], prefix, port } = {}) {
  const processes = new Processes()
  try {
    const jwtSecret = randomBytes(32).toString('hex')
    const password = randomBytes(16).toString('hex')
    const jwt = (claims) => {
      const now = Math.floor(Date.now() / 1000)
      return signJwt({ iss: 'tidelock-tests', iat: now, exp: now + 3600, ...claims }, jwtSecret)
    }
    const anonKey = jwt({ role: 'anon', exp: 4102444800 })
    const serviceKey = jwt({ role: 'service_role', exp: 4102444800 })
    const publishableKey = `sb_publishable_${randomBytes(12).toString('hex')}`
    const secretKey = `sb_secret_${randomBytes(12).toString('hex')}`

    const isName = /^[\w-]+$/.test(seed)
    const others = schemas.filter((name) => name !== 'public')
    const postgres = await startPostgres(processes, [
      await seedFile('roles'),
      ...others.map((schema) => `create schema "${schema}"; select grant_api('${schema}')`),
      ...(isName ? [await seedFile(seed)] : []),
    ])
    const { client } = postgres
    await client.query(`alter role authenticator password '${password}'`)
    if (!isName && seed !== '') await client.query(seed)
    const postgrest = await startPostgrest(processes, {
      socket: postgres.socket,
      jwtSecret,
      schemas,
      maxRows,
      password,
    })
    const gateways = []
    const another = async (options) => {
      const keys = new Map([
        [anonKey, { secret: false }],
        [publishableKey, { secret: false }],
        [serviceKey, { secret: true, token: serviceKey }],
        [secretKey, { secret: true, token: serviceKey }],
      ])
      const gateway = await startGateway({ socketPath: postgrest.socketPath, keys, prefix, ...options })
      gateways.push(gateway)
      return gateway
    }
    const gateway = await another({ port })

    let stopping
    return {
      url: gateway.url,
      anonKey,
      serviceKey,
      publishableKey,
      secretKey,
      faults: gateway.faults,
      stats: gateway.stats,
      realtime: gateway.realtime,
      another,
      jwtFor: (sub, claims = {}) => jwt({ role: 'authenticated', aud: 'authenticated', sub, ...claims }),
      async sql(text, params) {
        const result = await client.query(text, params)
        if (DDL.test(text.replaceAll(UNCACHED, ''))) {
          await listening(client)
          await postgrest.reload(() => client.query("notify pgrst, 'reload schema'"))
        }
        return (Array.isArray(result) ? result.at(-1) : result).rows
      },
      // A connection of its own, as the database's owner: for transactions that stay open. `end()` it.
      session: () => postgres.connect(),
      async killConnections() {
        await client.query("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'authenticator'")
      },
      stop() {
        stopping ??= Promise.all(gateways.map((each) => each.close()))
          .then(() => client.end().catch(() => {}))
          .then(() => processes.stop())
        return stopping
      },
    }
  } catch (error) {
    await processes.stop()
    throw error
  }
}

/** Resolves when PostgREST listens: a notification before that, at its start or after a broken connection, is lost. */
async function listening(client) {
  const sql =
    "select 1 from pg_stat_activity where usename = 'authenticator' and state = 'idle' and query ilike 'listen %'"
  const deadline = Date.now() + 15_000
  while ((await client.query(sql)).rows.length === 0) {
    if (Date.now() > deadline) throw new Error('PostgREST does not listen for notifications')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

function seedFile(name) {
  return readFile(new URL(`./seeds/${name}.sql`, import.meta.url), 'utf8')
}
