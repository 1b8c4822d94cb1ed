import { invalid } from '../base/errors.js'
import type { Bridge } from '../instance/bridge.js'
import { bridgeAlone } from '../instance/bridge-alone.js'
import { DatabaseClient } from '../instance/database-client.js'
import type { Instance } from '../instance/instance.js'
import { nodeFiles } from '../node/load.js'
import { checkOptions } from '../options/check-options.js'
import type { OpenOptions } from '../options/options.js'
import { withHolder } from './in-use.js'
import { openEnvironment } from './open.js'
import { closedHere, type StorageLocation } from './page-engines.js'
import { removalTimeoutMs } from './removal.js'
import type { DatabaseInfo } from './stored-info.js'

// Lists and deletes databases in folders without opening them, in Node.

/** Lists the databases in a folder. */
export async function foldersIn(path = '.'): Promise<DatabaseInfo[]> {
  const { databasesIn, filesOf } = await nodeFiles()
  const found = databasesIn(path)
  if (found.length === 0) return []
  const [bridge, instance] = await alone({ name: 'databases', storage: 'file' })
  const infos: DatabaseInfo[] = []
  for (const { name, path } of found) {
    const files = filesOf(path, { [Symbol.for('tidelock.readOnly')]: true })
    infos.push({ name, storage: 'file', path, ...(await bridge.storedIn(instance, files)) })
  }
  return infos
}

/** Deletes the database of a folder; a missing one is no error. */
export async function deleteFolder(name: string, path: string | undefined, force: boolean): Promise<void> {
  const options: OpenOptions = {
    name,
    storage: 'file',
    path,
    // When another process has the database open, the error says that its lock can't be stolen.
    ...(force ? { lock: { onBusy: 'steal' } } : {}),
  }
  const folder = checkOptions(options, openEnvironment()).path as string
  const place: StorageLocation = { storage: 'file', name, path: folder }
  const { filesOf, holdsDatabase, removeFolder, writeLastResults } = await nodeFiles()
  await closedHere(place, removalTimeoutMs)
  if (!holdsDatabase(folder)) return
  const [bridge, instance] = await alone(options)
  await bridge.deleteFolder(instance, filesOf(folder, {})).catch((error) => {
    throw withHolder(error, place, 'Close it there first')
  })
  writeLastResults(folder, undefined)
  removeFolder(folder)
}

/** Returns the files of a folder. Rejects with `invalid_argument` when it has no database. */
export async function filesOfDatabase(folder: string) {
  const { filesOf, holdsDatabase } = await nodeFiles()
  if (holdsDatabase(folder)) return filesOf(folder, {})
  throw invalid(`There is no database in ${folder}`, {
    hint: "databases({ storage: 'file', path }) lists those below a folder",
    details: { option: 'path' },
  })
}

function alone(options: OpenOptions): Promise<[Bridge, Instance]> {
  return bridgeAlone(checkOptions(options, openEnvironment()), {}, new DatabaseClient(options), undefined)
}
