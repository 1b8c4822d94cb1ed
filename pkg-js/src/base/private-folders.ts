// The folders of databases in the browser's private file system, which pages can see, too.

/** The file that shows what a database is, to those that can't open its other files. */
export const aboutFile = 'about'

const ending = '.db'

/** Returns the folder of all databases; undefined where there is none and `create` is false. */
export async function privateFolder(create: boolean): Promise<FileSystemDirectoryHandle | undefined> {
  const root = await navigator.storage.getDirectory()
  return unlessMissing(root.getDirectoryHandle('tidelock', { create }))
}

/** Returns the name of a database's folder: characters that file systems refuse are escaped as in URLs. */
export function folderName(database: string): string {
  const escaped = (char: string) => `%${char.charCodeAt(0).toString(16).padStart(2, '0')}`
  return database.replace(/[%/\\:*?"<>|.]/g, escaped) + ending
}

/** Returns the database of a folder. Never throws: another program may make folders of any name. */
function databaseOf(folder: string): string {
  const escaped = folder.slice(0, -ending.length)
  return escaped.replace(/%([0-9a-f]{2})/g, (_, code) => String.fromCharCode(Number.parseInt(code, 16)))
}

/** Returns the names of the databases; none where the browser has no private file system, or refuses it. */
export async function privateNames(): Promise<string[]> {
  const names: string[] = []
  try {
    for await (const folder of (await privateFolder(false))?.keys() ?? [])
      if (folder.endsWith(ending)) names.push(databaseOf(folder))
  } catch {
    // Private windows of some browsers refuse it.
  }
  return names
}

/** Returns whether there is a database of that name; false where the browser has no private file system, or refuses it. */
export function isPrivate(name: string): Promise<boolean> {
  return hasFiles(name).catch(() => false)
}

/** Does the same, but rejects with the browser's error: also where there is no folder of that name. */
export async function hasFiles(name: string): Promise<boolean> {
  const folder = await (await privateFolder(false))?.getDirectoryHandle(folderName(name))
  for await (const [file, handle] of folder?.entries() ?? []) {
    if (handle.kind !== 'file') continue
    // Empty files are what a worker leaves that ends while it makes a database. Others may be removed meanwhile.
    const read = (handle as FileSystemFileHandle).getFile().catch(() => undefined)
    if (file !== aboutFile && (await read)?.size !== 0) return true
  }
  return false
}

/** Reads what a database shows without being opened; undefined when it is missing or unreadable. */
export async function shownOf(name: string): Promise<object | undefined> {
  try {
    const folder = await (await privateFolder(false))?.getDirectoryHandle(folderName(name))
    const file = await folder?.getFileHandle(aboutFile)
    return file && JSON.parse(await (await file.getFile()).text())
  } catch {
    return undefined
  }
}

/** Resolves with undefined when the entry is missing. */
export async function unlessMissing<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found
  } catch (error) {
    if ((error as Error).name === 'NotFoundError') return undefined
    throw error
  }
}
