/** Deletes the databases and files of this site → what it did, in words. */
export async function clearSite() {
  const names = (await indexedDB.databases()).map(({ name }) => name)
  await Promise.all(
    names.map(
      (name) =>
        new Promise((resolve, reject) => {
          const request = indexedDB.deleteDatabase(name)
          request.onsuccess = resolve
          request.onerror = () => reject(request.error)
          request.onblocked = () => reject(new Error(`${name} is in use: reload the page first`))
        }),
    ),
  )
  const root = await navigator.storage.getDirectory()
  let files = 0
  for await (const name of root.keys()) {
    await root.removeEntry(name, { recursive: true })
    files++
  }
  return `Deleted ${names.length} databases and ${files} files or folders.`
}
