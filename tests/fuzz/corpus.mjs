// The inputs that have failed once. `why` of an entry is its failure; `known` says why it still fails.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { inspect } from 'node:util'
import { deserialize, serialize } from 'node:v8'
import { gunzipSync, gzipSync } from 'node:zlib'

const folder = path.join(import.meta.dirname, 'corpus')

/** Returns the entries of a target: `{ name, why, known, input }`. */
export function entriesOf(target) {
  return readdirSync(folder)
    .filter((name) => name.startsWith(`${target}-`) && name.endsWith('.json'))
    .sort()
    .map((name) => {
      const { input, ...about } = JSON.parse(readFileSync(path.join(folder, name), 'utf8'))
      return { name, ...about, input: deserialize(gunzipSync(Buffer.from(input, 'base64'))) }
    })
}

/** Stores an input that failed; returns its file. */
export function keep(target, seed, input, why) {
  mkdirSync(folder, { recursive: true })
  const file = path.join(folder, `${target}-${seed}.json`)
  const shown = inspect(input, { depth: 5, maxStringLength: 300, maxArrayLength: 20, breakLength: 200 }).slice(0, 1500)
  const bytes = gzipSync(serialize(input), { level: 9 }).toString('base64')
  writeFileSync(file, `${JSON.stringify({ why: why.split('\n')[0].slice(0, 300), shown, input: bytes }, null, 2)}\n`)
  return path.relative(process.cwd(), file)
}
