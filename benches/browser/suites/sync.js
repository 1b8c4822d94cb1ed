// Pulling a table from a real PostgREST into a stored database, and pushing changes; against loops as an app would write them.
// The floors fetch the same pages and drop them.

const columns = ['id', 'name', 'quantity', 'updated_at']
const schema = 'CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, quantity INTEGER, updated_at TEXT)'
const pageSize = 1000

export const sync = {
  title: 'Sync',
  fresh: true,
  server: true,
  steps: {
    near: 'first pull of 25,000 rows',
    far: 'the same, every request 50 ms longer',
    serialNear: 'its pages fetched one after the other, and dropped',
    serialFar: 'the same, 50 ms longer',
    sixNear: 'its pages fetched six at once, and dropped',
    sixFar: 'the same, 50 ms longer',
    requests: 'requests of the first pull',
    quiet: 'second pull, nothing new',
    quietRequests: 'its requests',
    push: '10,000 changes pushed',
    byHand: 'the same requests, hand-written, six at once',
  },
  contests: [
    {
      name: 'sync',
      caller: 'on the page, or in a worker beside SQLite',
      ours: 'tidelock-relaxed',
      peers: ['official-sahpool', 'official-json', 'wa-sqlite-idb', 'pglite-idb', 'rxdb-dexie', 'sqljs'],
    },
  ],
  ratios: {
    'first pull to its pages one after the other': { of: 'near', to: 'serialNear', goal: 1.3 },
    'the same, 50 ms longer': { of: 'far', to: 'serialFar', goal: 0.4 },
    'six pages at once to one after the other': { of: 'sixNear', to: 'serialNear' },
    'the same, 50 ms longer ': { of: 'sixFar', to: 'serialFar' },
    'requests of a pull without anything new': { of: 'quietRequests', goal: 2 },
    'push to the same requests, hand-written': { of: 'push', to: 'byHand', goal: 2 },
  },

  async round(bench) {
    if (bench.engine.startsWith('tidelock')) return ours(bench)
    if (bench.engine.startsWith('rxdb')) return documents(bench)
    for (const place of ['near', 'far']) {
      const db = await bench.open(`${place}-${crypto.randomUUID()}`)
      await db.exec(bench.engine.startsWith('pglite') ? schema.replace('id INTEGER', 'id BIGINT') : schema)
      const load = bench.engine === 'official-json' ? byJson : byRows
      await bench.step(
        place,
        () => load(db, bench.server, place),
        async () => rowsOf(await db.all(total, [])),
      )
      await db.close()
    }
  },
}

const total = 'SELECT count(*) AS rows, sum(quantity) AS quantity, max(name) AS name FROM items'
const rowsOf = (rows) => rows.map(({ rows, quantity, name }) => [Number(rows), Number(quantity), name])

async function ours(bench) {
  const { server } = bench
  const pages = Array.from({ length: Math.ceil(server.rows / pageSize) + 1 }, (_, page) => pageUrl(page))
  for (const place of ['near', 'far']) {
    const Place = place === 'near' ? 'Near' : 'Far'
    await bench.step(`serial${Place}`, () => fetchAll(server, place, pages, 1))
    const { db, count } = await opened(server, place, 'items')
    await bench.step(
      place,
      () => db.sync.pull(),
      async () => rowsOf(await db.query(total)),
    )
    await bench.step(`six${Place}`, () => fetchAll(server, place, pages, 6))
    if (place === 'near') {
      bench.note('requests', count())
      await bench.step('quiet', () => db.sync.pull())
      bench.note('quietRequests', count())
    }
    await db.close()
  }
  await pushed(bench)
}

/** tidelock on the remote's table; `count()` returns how many requests there were since the last time. */
async function opened(server, place, table) {
  const { open } = await import('tidelock')
  let requests = []
  const db = await open({
    name: `bench-${crypto.randomUUID()}`,
    durability: 'relaxed',
    snapshots: false,
    migrations: [{ version: '1', name: 'items', up: schema }],
    remote: {
      url: server[place],
      key: server.key,
      tables: [{ table: 'items', remoteTable: table, cursor: 'updated_at' }],
      fetch: (url, init) => {
        requests.push({ url, init })
        return fetch(url, init)
      },
    },
  })
  const take = () => {
    const taken = requests
    requests = []
    return taken
  }
  return { db, take, count: () => take().length }
}

async function pushed(bench) {
  const { server, scale } = bench
  const { db, take } = await opened(server, 'near', 'pushed')
  await db.sync.pull()
  const some = Math.max(2, Math.round(500 * scale))
  await db.transaction(async (tx) => {
    await tx.runMany(
      'INSERT INTO items (id, name, quantity, updated_at) VALUES (?, ?, ?, ?)',
      Array.from({ length: 18 * some }, (_, n) => [10_000 + n, `A new name, ${n}`, n, '2026-02-02T00:00:00+00:00']),
    )
    await tx.run('UPDATE items SET quantity = quantity + 1 WHERE id <= ?', [some])
    await tx.run('DELETE FROM items WHERE id > ? AND id <= ?', [some, 2 * some])
  })
  take()
  await bench.step('push', () => db.sync.push())
  const requests = take().map(({ url, init }) => ({ url: url.replace('/pushed?', '/by_hand?'), init: again(init) }))
  if (requests.some(({ url }) => !url.includes('/by_hand?'))) throw new Error('requests to another table')
  await bench.step('byHand', () => inTurns(requests, 6, ({ url, init }) => drop(fetch(url, init))))
  await db.close()
}

/** A request's options without what ended with it. */
function again({ method, headers, body, cache }) {
  return { method, headers, body: body && Uint8Array.from(body), cache }
}

function headersOf({ key }) {
  return { accept: 'application/json', apikey: key, authorization: `Bearer ${key}` }
}

/** The page behind so many pages; ids count from 1 without gaps. */
function pageUrl(page) {
  return afterUrl(page * pageSize)
}

const afterUrl = (id) => `/rest/v1/items?select=${columns}&id=gt.${id}&order=id.asc&limit=${pageSize}`

function fetchAll(server, place, pages, atOnce) {
  const options = { headers: headersOf(server), cache: 'no-store' }
  return inTurns(pages, atOnce, (page) => drop(fetch(server[place] + page, options)))
}

async function drop(answer) {
  const response = await answer
  const { byteLength } = await response.arrayBuffer()
  if (!response.ok) throw new Error(`${response.status} for ${response.url}`)
  return byteLength
}

/** Does the work for each, so many at once. */
async function inTurns(all, atOnce, work) {
  const rest = [...all]
  const one = async () => {
    for (let next = rest.shift(); next; next = rest.shift()) await work(next)
  }
  await Promise.all(Array.from({ length: atOnce }, one))
}

async function* answers(server, place, lastOf) {
  const options = { headers: headersOf(server), cache: 'no-store' }
  for (let last = 0; ; ) {
    const response = await fetch(server[place] + afterUrl(last), options)
    const body = await response.text()
    last = lastOf(body)
    if (last === undefined) return
    yield body
  }
}

/** RxDB's own replication, fed page by page. */
async function documents(bench) {
  const { server } = bench
  const options = { headers: headersOf(server), cache: 'no-store' }
  for (const place of ['near', 'far']) {
    const db = await bench.open(`${place}-${crypto.randomUUID()}`)
    const page = async (last) => (await fetch(server[place] + afterUrl(last), options)).json()
    await bench.step(
      place,
      () => db.pull(page, pageSize),
      async () => rowsOf(await db.total()),
    )
    await db.close()
  }
}

/** Page by page: the rows of one in one transaction. */
async function byRows(db, server, place) {
  let rows
  const lastOf = (body) => {
    rows = JSON.parse(body)
    return rows.at(-1)?.id
  }
  for await (const _ of answers(server, place, lastOf)) {
    await db.insertMany(
      `INSERT INTO items (${columns}) VALUES (?, ?, ?, ?)`,
      rows.map((row) => columns.map((column) => row[column])),
    )
  }
}

/** Page by page: SQLite reads the JSON itself. */
async function byJson(db, server, place) {
  const lastOf = (body) => {
    const at = body.lastIndexOf('{"id":')
    return at < 0 ? undefined : Number.parseInt(body.slice(at + 6), 10)
  }
  const values = columns.map((column) => `value ->> '${column}'`)
  for await (const body of answers(server, place, lastOf)) {
    await db.all(`INSERT INTO items (${columns}) SELECT ${values} FROM json_each(?)`, [body])
  }
}
