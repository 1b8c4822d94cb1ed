// Answers of a remote: to a pull, a push, the schema of its tables, a diagnosis.
import assert from 'node:assert/strict'
import { doctor, open, schemaFromRemote } from '../../../pkg-js/dist/index.js'
import { answering } from '../answers.mjs'
import { attempt, mine, quiet } from '../rules.mjs'

const schema = `CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT, n NUMERIC TEXT, updated_at TEXT);
  CREATE TABLE others (id TEXT PRIMARY KEY, text JSON TEXT, n REFERENCES notes ON DELETE CASCADE, updated_at);
  INSERT INTO notes VALUES (1, 'text 1', '10', NULL), (500, 'here only', NULL, NULL);`
let names = 0

export async function setUp() {
  return { make, run }
}

function make(random) {
  const table = (name) => ({
    table: name,
    ...(random.oneIn(2) ? { cursor: 'updated_at' } : {}),
    ...(random.oneIn(4) ? { deleted: random.pick(['compare', 'n']) } : {}),
    ...(random.oneIn(3) ? { conflict: random.pick(['keep-local', 'remote-wins']) } : {}),
    ...(random.oneIn(8) ? { filter: { text: 'eq.1' } } : {}),
  })
  const remote = {
    tables: random.oneIn(2) ? [table('notes')] : [table('notes'), table('others')],
    pageSize: random.pick([5, 10, 1000]),
  }
  const calls = random.some(4, () =>
    random.pick(['pull', 'pull', 'replace', 'push', 'push', 'run', 'schema', 'doctor', 'full', 'discard']),
  )
  return { seed: random.uint32(), remote, calls }
}

async function run({ seed, remote, calls }) {
  const { fetch, counted, mostRequests } = answering(seed)
  const endpoint = {
    url: 'http://remote.example',
    key: 'the-key-of-this-project',
    fetch,
    retries: 0,
    timeoutMs: 200,
    maxResponseBytes: 2 ** 20,
  }
  const db = await open({
    name: `bodies-${++names}`,
    storage: 'memory',
    remote: { ...endpoint, ...remote },
    maxBytes: 64 * 2 ** 20,
    ...quiet,
  })
  const ended = []
  try {
    await db.exec(mine.sql)
    await db.exec(schema)
    const call = {
      pull: () => db.sync.pull(),
      full: () => db.sync.pull({ full: true, allowEmpty: true }),
      replace: () => db.sync.pull({ mode: 'replace', discardUnpushed: true, allowEmpty: true }),
      push: async () => {
        await db.exec("UPDATE notes SET text = text || 'x'; INSERT OR IGNORE INTO others VALUES ('a', '{}', 1, NULL)")
        return db.sync.push()
      },
      run: () => db.sync.run(),
      discard: async () => {
        for (const { id } of await db.sync.rejected()) await db.sync.discard(id)
      },
      schema: () => schemaFromRemote(endpoint),
      doctor: () => doctor({ remote: { ...endpoint, ...remote } }),
    }
    for (const name of calls) {
      counted.requests = 0
      const { error } = await attempt(call[name])
      ended.push(error?.code ?? 'answered')
      assert.ok(counted.requests <= mostRequests, `${name} sent more than ${mostRequests} requests`)
      await mine.mustBeThere(db)
    }
    await db.sync.status()
    await db.sync.pending()
    assert.notEqual((await db.health()).status, 'failed')
    assert.deepEqual(await db.query('PRAGMA integrity_check'), [{ integrity_check: 'ok' }])
  } finally {
    await db.close()
  }
  return ended[0]
}
