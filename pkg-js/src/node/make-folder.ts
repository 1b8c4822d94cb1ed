import * as fs from 'node:fs'
import { dirname } from 'node:path'

/**
 * Makes a folder, and those above it, where there is none. Throws as `mkdirSync` does.
 *
 * Not with `recursive`: Node then tries again for ever where the system says of a folder that exists that it doesn't, as Linux does in /proc.
 */
export function makeFolder(folder: string): void {
  if (fs.existsSync(folder)) return
  const above = dirname(folder)
  if (above !== folder) makeFolder(above)
  try {
    fs.mkdirSync(folder)
  } catch (error) {
    // Another process may have made it meanwhile.
    if (!fs.existsSync(folder)) throw error
  }
}
