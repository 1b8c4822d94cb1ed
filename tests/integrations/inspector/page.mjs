// In the page: a database with what the views show, and an inspector of it.
import { isTidelockError, open } from '/tidelock/index.js'
import { fakeRemote } from '/tidelock/integrations/testing/index.js'
import '/tidelock/integrations/inspector/index.js'

const migrations = [
  {
    version: '0001',
    name: 'shop',
    up: `CREATE TABLE customers (id TEXT PRIMARY KEY, name TEXT NOT NULL, credit REAL CHECK (credit >= 0), logo BLOB,
           notes TEXT, updated_at TEXT);
         CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id TEXT REFERENCES customers (id), status TEXT NOT NULL
           DEFAULT 'open', total NUMERIC TEXT, big INTEGER);
         CREATE INDEX orders_customer ON orders (customer_id);
         CREATE TABLE order_lines (order_id INTEGER NOT NULL REFERENCES orders, line INTEGER NOT NULL, product TEXT,
           PRIMARY KEY (order_id, line)) WITHOUT ROWID;
         CREATE VIEW open_orders AS SELECT * FROM orders WHERE status = 'open'`,
  },
  {
    version: '0002',
    name: 'tags',
    up: 'CREATE TABLE tags (name TEXT)',
    down: 'DROP TABLE tags',
  },
]

function madeRemote() {
  return fakeRemote({
    tables: {
      customers: {
        columns: { id: 'text', name: 'text', credit: 'float8', notes: 'text', updated_at: 'timestamptz' },
        rows: Array.from({ length: 20 }, (_, n) => ({
          id: `c${n + 1}`,
          name: `Customer ${n + 1}`,
          credit: n * 10,
          notes: null,
        })),
        updatedAt: 'updated_at',
        check: (row) => row.name !== 'refused',
      },
    },
  })
}

/** Opens a database with rows, and shows it. */
globalThis.start = async ({ view = 'tables', isEmpty = false, isSynced = true, ...options } = {}) => {
  const remote = isSynced ? madeRemote() : undefined
  const db = await open({
    name: `shop-${Math.random().toString(36).slice(2)}`,
    ...(isEmpty ? {} : { migrations: migrations.slice(0, 1) }),
    ...(remote === undefined || isEmpty
      ? {}
      : {
          remote: {
            url: remote.url,
            key: remote.key,
            fetch: remote.fetch,
            retries: 0,
            tables: [
              { table: 'customers', cursor: 'updated_at', columns: ['id', 'name', 'credit', 'notes', 'updated_at'] },
            ],
          },
        }),
    ...options,
  })
  if (!isEmpty) await fill(db, isSynced)
  Object.assign(globalThis, { db, remote, isTidelockError })
  const inspector = document.createElement('tidelock-inspector')
  inspector.database = db
  inspector.view = view
  document.body.replaceChildren(inspector)
}

async function fill(db, isSynced) {
  if (isSynced) await db.sync.pull()
  else
    await db.runMany(
      'INSERT INTO customers (id, name, credit) VALUES (?, ?, ?)',
      Array.from({ length: 20 }, (_, n) => [`c${n + 1}`, `Customer ${n + 1}`, n * 10]),
    )
  await db.run('UPDATE customers SET logo = ?, notes = ? WHERE id = ?', [
    new Uint8Array(300).map((_, n) => n),
    `A long text. ${'It goes on and on. '.repeat(100)}`,
    'c2',
  ])
  await db.runMany(
    'INSERT INTO orders (id, customer_id, status, total, big) VALUES (?, ?, ?, ?, ?)',
    Array.from({ length: 130 }, (_, n) => [
      n + 1,
      `c${(n % 20) + 1}`,
      ['open', 'sent', 'paid'][n % 3],
      `${n}.50`,
      n === 0 ? 9007199254740993n : null,
    ]),
  )
  if (isSynced) await db.sync.run()
  await db.runMany(
    'INSERT INTO order_lines VALUES (?, ?, ?)',
    Array.from({ length: 60 }, (_, n) => [1 + (n >> 1), 1 + (n & 1), `product ${n}`]),
  )
}

/** Opens the same database again with the second migration, which is pending. */
globalThis.withPending = async () => {
  const db = await open({ name: `migrated-${Math.random()}`, storage: 'memory', migrations, migrate: false })
  await db.migrations.run({ to: '0001' })
  globalThis.db = db
  const inspector = document.createElement('tidelock-inspector')
  inspector.database = db
  inspector.view = 'migrations'
  document.body.replaceChildren(inspector)
}

const words = (count) => 'very long content '.repeat(count).trim()

/** Opens a database whose names, values and errors are as long as they get. */
globalThis.withLong = async () => {
  const table = 'measurements_of_all_sensors_in_all_buildings_by_the_hour_and_the_day'
  const columns = Array.from({ length: 40 }, (_, n) => `a_rather_long_column_name_${n} NUMERIC(30, 20) DEFAULT 0`)
  const up = [
    `CREATE TABLE "${table}" (id TEXT PRIMARY KEY, note TEXT, updated_at TEXT, ${columns})`,
    ...Array.from(
      { length: 30 },
      (_, n) => `CREATE TABLE table_${n} (id INTEGER PRIMARY KEY, other REFERENCES "${table}")`,
    ),
  ].join(';')
  const remote = fakeRemote({
    tables: {
      [table]: {
        columns: { id: 'text', note: 'text', updated_at: 'timestamptz' },
        rows: ['a', 'b', 'c'].map((id) => ({ id: id.repeat(300), note: words(1) })),
        updatedAt: 'updated_at',
        check: (row) => row.note !== 'refused',
      },
    },
  })
  const db = await open({
    name: `a-database-with-a-long-name-${Math.random()}-${'x'.repeat(60)}`,
    migrations: [{ version: '20261124093000', name: words(4).replaceAll(' ', '_'), up }],
    remote: {
      url: remote.url,
      key: remote.key,
      fetch: remote.fetch,
      retries: 0,
      tables: [{ table, cursor: 'updated_at', columns: ['id', 'note', 'updated_at'] }],
    },
  })
  Object.assign(globalThis, { db })
  await db.sync.pull()
  await db.snapshots.create({ label: words(3) })
  await db.run(`UPDATE "${table}" SET note = ? WHERE id LIKE 'a%'`, [words(200)])
  await db.run(`UPDATE "${table}" SET note = 'refused' WHERE id LIKE 'b%'`)
  remote.update(table, { id: 'a'.repeat(300) }, { note: words(100).toUpperCase() })
  await show(db)
  await db.sync.run()
  await db.run(`UPDATE "${table}" SET note = ? WHERE id LIKE 'c%'`, [words(300)])
  const live = db.live(`SELECT ${columns.map((column) => column.split(' ')[0]).join(', ')} FROM "${table}"`)
  live.subscribe(() => {})
}

/** Shows a database whose engine is busy, so that nothing answers. */
globalThis.withBusy = async () => {
  await globalThis.start()
  const began = Promise.withResolvers()
  globalThis.db.transaction(() => {
    began.resolve()
    return new Promise(() => {})
  })
  await began.promise
  await show(globalThis.db)
}

/** Shows a database that was closed. */
globalThis.withClosed = async () => {
  await globalThis.start()
  await globalThis.db.close()
  await show(globalThis.db)
}

/** Shows a database whose remote refuses everything. */
globalThis.withRefusals = async () => {
  await globalThis.start()
  const { db, remote } = globalThis
  remote.fail({ times: 1000, status: 403, code: '42501' })
  await db.run("UPDATE customers SET name = 'here' WHERE id = 'c1'")
  await db.sync.run().catch(() => {})
}

async function show(db) {
  const inspector = document.createElement('tidelock-inspector')
  inspector.database = db
  document.body.replaceChildren(inspector)
}

globalThis.violations = []
document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI, sourceFile, lineNumber }) =>
  globalThis.violations.push(`${violatedDirective} ${blockedURI} ${sourceFile}:${lineNumber}`),
)
