// wa-sqlite: in memory by the synchronous build; stored by two of its VFSes, AccessHandlePool (OPFS, synchronous build) and
// IDBBatchAtomic (IndexedDB, Asyncify build).

import * as WaSQLite from '@journeyapps/wa-sqlite'
import { toObject } from './rows.js'

const builds = {
  sync: () => import('@journeyapps/wa-sqlite/dist/wa-sqlite.mjs'),
  async: () => import('@journeyapps/wa-sqlite/dist/wa-sqlite-async.mjs'),
}
const systems = {
  AccessHandlePoolVFS: () => import('@journeyapps/wa-sqlite/src/examples/AccessHandlePoolVFS.js'),
  IDBBatchAtomicVFS: () => import('@journeyapps/wa-sqlite/src/examples/IDBBatchAtomicVFS.js'),
}

let loaded

/** Compiles the wasm, so that no clock runs meanwhile. */
export function load({ vfs }) {
  loaded ??= (async () => {
    const { default: factory } = await builds[vfs === 'IDBBatchAtomicVFS' ? 'async' : 'sync']()
    const module = await factory()
    return { module, api: WaSQLite.Factory(module), system: vfs && (await systems[vfs]())[vfs] }
  })()
  return loaded
}

export async function open({ name, vfs }) {
  const { module, api, system } = await load({ vfs })
  if (!system) return adapter(api, await api.open_v2(':memory:'), () => {})
  const files = await system.create(`bench-${name}`, module)
  api.vfs_register(files, true)
  return adapter(api, await api.open_v2(`${name}.db`), () => files.close?.())
}

function adapter(api, db, afterwards) {
  const { SQLITE_ROW } = WaSQLite
  // Compiled once by its text and kept, with the iterator that owns it.
  const kept = new Map()
  const prepared = async (sql) => {
    let entry = kept.get(sql)
    if (!entry) {
      const iterator = api.statements(db, sql)[Symbol.asyncIterator]()
      const { value: statement } = await iterator.next()
      entry = { iterator, statement, columns: api.column_names(statement) }
      kept.set(sql, entry)
    }
    return entry
  }
  return {
    exec: (sql) => api.exec(db, sql),
    async insertMany(sql, rows) {
      const { statement } = await prepared(sql)
      await api.exec(db, 'BEGIN')
      for (const row of rows) {
        api.bind_collection(statement, row)
        await api.step(statement)
        await api.reset(statement)
      }
      await api.exec(db, 'COMMIT')
    },
    async all(sql, params) {
      const found = []
      for await (const statement of api.statements(db, sql)) {
        if (params) api.bind_collection(statement, params)
        const columns = api.column_names(statement)
        while ((await api.step(statement)) === SQLITE_ROW) found.push(toObject(columns, api.row(statement)))
      }
      return found
    },
    async points(sql, ids) {
      const { statement, columns } = await prepared(sql)
      const found = []
      for (const id of ids) {
        api.bind(statement, 1, id)
        found.push((await api.step(statement)) === SQLITE_ROW ? toObject(columns, api.row(statement)) : undefined)
        await api.reset(statement)
      }
      return found
    },
    async updates(sql, ids) {
      const { statement } = await prepared(sql)
      for (const id of ids) {
        api.bind(statement, 1, id)
        await api.step(statement)
        await api.reset(statement)
      }
    },
    async close() {
      for (const { iterator } of kept.values()) await iterator.return()
      await api.close(db)
      await afterwards()
    },
  }
}
