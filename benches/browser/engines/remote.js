// An engine in a worker, called from the page by messages: how an app would use a peer that has no client of its own. Rows come
// as the objects that the worker made, by structured clone.

/** A worker of ours with `call(message)` → what it answers, and `end()`. */
export function startWorker() {
  const worker = new Worker(new URL('./engine-worker.js', import.meta.url), { type: 'module', name: 'bench' })
  const waiting = new Map()
  let last = 0
  const failAll = (error) => {
    for (const { reject } of waiting.values()) reject(error)
    waiting.clear()
  }
  worker.onmessage = ({ data: { id, result, error } }) => {
    const { resolve, reject } = waiting.get(id)
    waiting.delete(id)
    if (error === undefined) resolve(result)
    else reject(new Error(error))
  }
  worker.onerror = (event) => failAll(new Error(event.message ?? 'the worker failed'))
  return {
    call(message) {
      const id = ++last
      return new Promise((resolve, reject) => {
        waiting.set(id, { resolve, reject })
        worker.postMessage({ id, ...message })
      })
    },
    end: () => worker.terminate(),
  }
}

/** A database of the engine `id` in a worker of its own, with the adapters' interface. */
export async function openRemote(id, name) {
  const { call, end } = startWorker()
  const ask = (method, ...given) => call({ type: 'call', method, given })
  try {
    await call({ type: 'open', engine: id, name })
  } catch (error) {
    end()
    throw error
  }
  return {
    exec: (sql) => ask('exec', sql),
    insertMany: (sql, rows) => ask('insertMany', sql, rows),
    all: (sql, params) => ask('all', sql, params),
    async points(sql, ids) {
      const found = []
      for (const id of ids) found.push((await ask('points', sql, [id]))[0])
      return found
    },
    async updates(sql, ids) {
      for (const id of ids) await ask('updates', sql, [id])
    },
    async close() {
      await ask('close')
      end()
    },
  }
}
