import * as fs from 'node:fs'
import { join } from 'node:path'
import * as v8 from 'node:v8'

// The last results of live queries, in a file of their own beside the journal: losing it loses no data.

const file = 'last-results'
/** No file that this package wrote is larger. */
const maxBytes = 8 * 1024 * 1024

/** Returns the value in the file of a folder; undefined for a missing or unreadable one. */
export function readLastResults(folder: string): unknown {
  const path = join(folder, file)
  try {
    const about = fs.lstatSync(path, { throwIfNoEntry: false })
    if (about === undefined || !about.isFile() || about.size > maxBytes) return undefined
    return v8.deserialize(fs.readFileSync(path))
  } catch {
    // Of another version of Node, or damaged.
    return undefined
  }
}

/** Writes a value into the file of a folder; undefined removes it. */
export function writeLastResults(folder: string, value: unknown): void {
  const [path, draft] = [join(folder, file), join(folder, `${file}.new`)]
  if (value === undefined) {
    for (const each of [path, draft]) {
      // A folder of this name isn't tidelock's.
      if (!fs.lstatSync(each, { throwIfNoEntry: false })?.isDirectory()) fs.rmSync(each, { force: true })
    }
    return
  }
  fs.rmSync(draft, { force: true })
  // A name that nothing has: a link isn't followed.
  fs.writeFileSync(draft, v8.serialize(value), { flag: 'wx' })
  fs.renameSync(draft, path)
}
