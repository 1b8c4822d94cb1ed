// The examples of the playground: code blocks of the documents, with what surrounds them on their page.
import { blocksOf } from '../../tests/node/documents/blocks.mjs'
import { textOf } from './pages.mjs'

const tasks = `const db = await open({ name: 'tasks', storage: 'memory' })
await db.exec(\`CREATE TABLE tasks (id INTEGER PRIMARY KEY, title TEXT, done INTEGER DEFAULT 0);
  INSERT INTO tasks (title) VALUES ('buy tea'), ('call Ada')\`)
const render = (rows, total) => console.log(rows, ...(total === undefined ? [] : [\`of \${total}\`]))`

/** By key: the block's id, and the code before and after it. `fill` replaces texts of the block. */
const EXAMPLES = {
  first: { title: 'The first ten lines', id: 'README.md: tidelock (2)' },
  snapshot: { title: 'Migrations, a transaction, a snapshot', id: 'README.md: Twenty lines' },
  live: {
    title: 'A live query',
    id: 'docs/live.md: Live queries',
    before: tasks,
    after: `await db.run("INSERT INTO tasks (title) VALUES ('answer mail')")`,
  },
  changes: {
    title: 'What has changed in a result',
    id: 'docs/live.md: What has changed',
    before: `${tasks}
const live = db.live('SELECT id, title FROM tasks ORDER BY title')
const list = Object.fromEntries(
  ['insert', 'replace', 'move', 'remove'].map((name) => [name, (...about) => console.log(name, ...about)]),
)
setTimeout(() => db.run("UPDATE tasks SET title = 'wait' WHERE id = 1"), 100)
setTimeout(() => live.close(), 600)`,
  },
  window: {
    title: 'Twenty rows of many, and their number',
    id: 'docs/live.md: A part of a long result',
    before: `${tasks}
await db.runMany('INSERT INTO tasks (title) VALUES (?)', Array.from({ length: 40 }, (_, n) => [\`task \${n}\`]))
const next = {}`,
    after: 'await new Promise((resolve) => setTimeout(resolve, 200))\nawait next.onclick()',
  },
  functions: {
    title: 'JavaScript functions in SQL',
    id: 'docs/operations.md: SQL functions and collations',
    after: `console.log(await db.get("SELECT slug('Rye & Fennel') AS slug, 'rye' REGEXP '^r' AS starts"))`,
  },
  errors: {
    title: 'An error and its code',
    id: 'docs/errors.md: Errors',
    before: `const db = await open({ name: 'orders', storage: 'memory' })
await db.exec("CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT); INSERT INTO orders VALUES (1, 'rye')")
const show = (text) => console.log(text)`,
    after: `await db.query('SELECT nam FROM orders') // an error, as you see it`,
    fails: true,
  },
  restore: {
    title: 'Back to a point in time',
    id: 'docs/runbook.md: Restore',
    before: `const db = await open({ name: 'undo' })
await db.exec('CREATE TABLE IF NOT EXISTS orders (item TEXT)')
await db.run("INSERT INTO orders VALUES ('tea')")
const pause = () => new Promise((resolve) => setTimeout(resolve, 20))
await pause()
const justBeforeTheMistake = new Date()
await pause()
await db.run('DELETE FROM orders')`,
    after: `console.log(await db.query('SELECT * FROM orders'))`,
  },
  backup: {
    title: 'An encrypted backup',
    id: 'docs/runbook.md: Back up',
    before: `const db = await open({ name: 'shop' })
const passphrase = 'correct horse battery staple'
const download = (file, name) => console.log(\`\${name}, \${file.size} bytes\`)`,
  },
  columns: {
    title: 'A column that only you can read',
    id: 'docs/encryption.md: Sensitive columns',
    before: `const migrations = migrationsFrom({ '1_patients.sql': 'CREATE TABLE patients (id INTEGER PRIMARY KEY, note BLOB)' })
const [passphrase, userId, remote] = ['correct horse', 'user 17, the salt', undefined]
await deleteDatabase('clinic')`,
    after: `console.log(await db.query('SELECT note, decrypt(note) AS plain FROM patients'))`,
  },
  sync: {
    title: 'Sync, with a remote in memory',
    id: 'docs/sync.md: Sync',
    before: `const remote = fakeRemote({
  tables: {
    orders: { columns: { id: 'int8', item: 'text', updated_at: 'timestamptz' }, rows: [{ id: 1, item: 'tea' }], updatedAt: 'updated_at' },
    countries: [{ code: 'PT', name: 'Portugal' }],
  },
})
const { url, key, fetch } = remote
const supabase = { auth: { getSession: async () => ({ data: { session: null } }) } }
const migrations = migrationsFrom({
  '1_shop.sql': \`CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT, updated_at TEXT);
    CREATE TABLE countries (code TEXT PRIMARY KEY, name TEXT)\`,
})
await deleteDatabase('shop')`,
    fill: { "url: 'https://<project>.supabase.co',": 'url, fetch,', "key: '<publishable key>',": 'key,' },
    after: `console.log(await db.query('SELECT * FROM orders'))
await db.run("UPDATE orders SET item = 'green tea' WHERE id = 1")
await db.sync.run()
console.log('at the remote:', remote.rows('orders'))`,
  },
  tabs: {
    title: 'Several tabs, one database',
    id: 'docs/tabs.md: Several tabs, one database',
    before: `const migrations = migrationsFrom({ '1_notes.sql': 'CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)' })
const show = (role) => console.log('now', role)`,
    after: `await db.run("INSERT INTO notes (body) VALUES ('from this tab')")
console.log(db.role, await db.query('SELECT * FROM notes'))
// Open this page in a second tab, and run it there, too.`,
    fill: { "name: 'shop'": "name: 'shared notes'" },
  },
  moving: {
    title: 'Rows out of localStorage',
    id: 'docs/moving.md: From localStorage',
    before: `localStorage.setItem('notes', JSON.stringify([{ id: 1, body: 'an old note' }]))
const db = await open({ name: 'moved', storage: 'memory' })
await db.exec('CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)')`,
    after: `console.log(await db.query('SELECT * FROM notes'))`,
  },
}

/** Returns the examples → `{ key, title, id, code, fails }`. Throws where a document has no such block. */
export function playgroundExamples() {
  return Object.entries(EXAMPLES).map(([key, { title, id, before, after, fill = {}, fails = false }]) => {
    const [file] = id.split(': ')
    const block = blocksOf(file, textOf(file)).find((each) => each.id === id)
    if (block === undefined)
      throw new Error(`The playground's example ${key} needs the block '${id}', which is not there`)
    const code = Object.entries(fill).reduce((text, [from, to]) => text.replaceAll(from, to), block.code.trimEnd())
    return { key, title, id, code: [before, code, after].filter(Boolean).join('\n\n'), fails }
  })
}
