import { lstatSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

/** Returns everything in a folder: names, kinds, contents, and times of change. */
export function listing(folder) {
  const of = (name) => {
    const file = path.join(folder, name)
    const { mode, mtimeNs, ctimeNs, ino } = lstatSync(file, { bigint: true })
    const kind = lstatSync(file)
    const contents = kind.isDirectory() ? listing(file) : kind.isFile() ? readFileSync(file, 'base64') : 'special'
    return [name, `${mode} ${ino} ${mtimeNs} ${ctimeNs}`, contents]
  }
  const { mtimeNs } = lstatSync(folder, { bigint: true })
  return [String(mtimeNs), ...readdirSync(folder).sort().map(of)]
}
