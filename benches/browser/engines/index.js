// Which engines there are, and on which threads. `place` says where the suite's code runs and where the engine does:
//   page     both in the page
//   own      the suite in the page, the engine in a worker of its own making
//   remote   the suite in the page, the engine in a worker of ours (remote.js): how an app would, for peers without one
//   worker   both in a worker of ours, so that the caller is on SQLite's thread
// `isolated`: needs COOP and COEP headers. `lacks`: what a suite has to leave out, and why (`cases` of
// the speedtest, `portion` of the updates).

const modules = {
  tidelock: () => import('./tidelock.js'),
  official: () => import('./official.js'),
  sqljs: () => import('./sqljs.js'),
  'wa-sqlite': () => import('./wa-sqlite.js'),
  sqlocal: () => import('./sqlocal.js'),
  pglite: () => import('./pglite.js'),
  turso: () => import('./turso.js'),
  rxdb: () => import('./rxdb.js'),
}

const postgres = { fts: 'no FTS5: it is PostgreSQL' }
const noFts5 = { fts: 'built without FTS5' }
const opfs = { storage: 'opfs', durability: 'relaxed' }

/** All engines by id: `{ label, module, place, isolated?, lacks?, options? }`. */
export const engines = {
  // In memory.
  tidelock: { label: 'tidelock', module: 'tidelock', place: 'page' },
  'tidelock-migrations': { label: 'tidelock, migrations', module: 'tidelock', place: 'page' },
  'tidelock-worker': { label: 'tidelock, worker', module: 'tidelock', place: 'own', options: { thread: 'worker' } },
  official: { label: 'sqlite-wasm', module: 'official', place: 'page' },
  'official-worker': { label: 'sqlite-wasm, worker', module: 'official', place: 'remote' },
  sqljs: { label: 'sql.js', module: 'sqljs', place: 'page', lacks: noFts5 },
  'sqljs-worker': { label: 'sql.js, worker', module: 'sqljs', place: 'remote', lacks: noFts5 },
  'wa-sqlite': { label: 'wa-sqlite', module: 'wa-sqlite', place: 'page' },
  'wa-sqlite-worker': { label: 'wa-sqlite, worker', module: 'wa-sqlite', place: 'remote' },
  sqlocal: { label: 'SQLocal', module: 'sqlocal', place: 'page' },
  'sqlocal-live': { label: 'SQLocal', module: 'sqlocal', place: 'page', options: { reactive: true } },
  pglite: { label: 'PGlite', module: 'pglite', place: 'page', lacks: postgres },
  'pglite-worker': {
    label: 'PGlite, worker',
    module: 'pglite',
    place: 'own',
    lacks: postgres,
    options: { worker: true },
  },
  turso: {
    label: 'Turso',
    module: 'turso',
    place: 'page',
    isolated: true,
    lacks: { fts: 'no FTS5: it has an index of its own', cases: [200] },
  },

  // Several engines on one page, beside their floors.
  floors: { label: 'ms', module: 'official', place: 'page', isolated: true },

  // For its size: the one above has PowerSync's extension in it.
  'wa-sqlite-plain': { label: 'wa-sqlite 1.0.0', module: 'wa-sqlite' },

  // Stored.
  'tidelock-relaxed': durable('tidelock', 'tidelock', 'page', { durability: 'relaxed' }),
  'tidelock-strict': durable('tidelock, strict', 'tidelock', 'page', { durability: 'strict' }),
  'tidelock-worker-relaxed': durable('tidelock, worker', 'tidelock', 'own', {
    durability: 'relaxed',
    thread: 'worker',
  }),
  // Over the browser's private file system: the caller on the page with the engine in its worker or beside the caller, or both in a worker.
  'tidelock-opfs': durable('tidelock opfs, worker', 'tidelock', 'own', { ...opfs, thread: 'worker' }),
  'tidelock-opfs-page': durable('tidelock opfs', 'tidelock', 'page', opfs),
  'tidelock-opfs-inside': durable('tidelock opfs, inside a worker', 'tidelock', 'worker', opfs),
  'tidelock-opfs-strict': durable('tidelock opfs, strict', 'tidelock', 'own', {
    ...opfs,
    thread: 'worker',
    durability: 'strict',
  }),
  'tidelock-opfs-inside-strict': durable('tidelock opfs, strict, inside a worker', 'tidelock', 'worker', {
    ...opfs,
    durability: 'strict',
  }),
  'official-json': durable('sqlite-wasm opfs-sahpool, json_each', 'official', 'worker', {}),
  'official-sahpool': durable('sqlite-wasm opfs-sahpool', 'official', 'worker', {}),
  'wa-sqlite-ahp': durable('wa-sqlite AccessHandlePool', 'wa-sqlite', 'worker', { vfs: 'AccessHandlePoolVFS' }),
  'wa-sqlite-idb': durable('wa-sqlite IDBBatchAtomic', 'wa-sqlite', 'worker', { vfs: 'IDBBatchAtomicVFS' }),
  'sqlocal-opfs': { ...durable('SQLocal', 'sqlocal', 'own', {}), isolated: true },
  'pglite-idb': {
    ...durable('PGlite idb://', 'pglite', 'page', {}),
    lacks: { portion: 0.1, scan: 'PostgreSQL’s SQL for bytes is another' },
  },
  'rxdb-dexie': durable('RxDB + Dexie', 'rxdb', 'page', {}),
  'turso-opfs': { ...durable('Turso', 'turso', 'page', {}), isolated: true },
}

function durable(label, module, place, options) {
  return { label, module, place, options: { ...options, durable: true } }
}

/** Which thread the caller is on, in words for a table. */
export const callers = {
  page: 'page, with the engine',
  own: 'page, engine in its worker',
  remote: 'page, engine in a worker',
  worker: 'worker, with the engine',
}

/** Loads what an engine needs, so that no clock runs meanwhile. Here, on this thread. */
export async function load(id) {
  const { module, options = {} } = engines[id]
  const adapter = await modules[module]()
  await adapter.load?.(options)
}

/** A database of an engine, on this thread: the adapter's. `name` distinguishes stored ones. */
export async function openHere(id, name) {
  const { module, options = {} } = engines[id]
  const { open } = await modules[module]()
  return open({ name, ...options })
}
