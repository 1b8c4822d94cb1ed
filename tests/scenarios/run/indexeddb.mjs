// Reads and changes a page's IndexedDB behind the engine's back, for scenarios that run in pages only.

/** Returns the result of an IndexedDB request. */
export const result = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })

/** Runs `use(transaction)` over all object stores of a closed database. */
export async function change(name, use) {
  const db = await result(indexedDB.open(`tidelock/${name}`))
  const transaction = db.transaction([...db.objectStoreNames], 'readwrite')
  const complete = new Promise((resolve, reject) => {
    transaction.oncomplete = resolve
    transaction.onabort = () => reject(transaction.error)
  })
  await use(transaction)
  await complete
  db.close()
}

function text(value) {
  if (value instanceof ArrayBuffer) return new TextDecoder('latin1').decode(value)
  if (ArrayBuffer.isView(value)) return text(value.buffer)
  if (typeof value === 'object' && value !== null) return Object.entries(value).flat().map(text).join(' ')
  return String(value)
}

/** Returns all keys and values of all object stores as one text, bytes as Latin-1. */
export async function everything(name) {
  const all = []
  await change(name, async (transaction) => {
    for (const each of transaction.objectStoreNames) {
      const store = transaction.objectStore(each)
      all.push(...(await Promise.all([result(store.getAllKeys()), result(store.getAll())])))
    }
  })
  return text(all)
}
