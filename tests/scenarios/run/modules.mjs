// The modules of scenarios: those that need a remote are under sync/.
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The folder from which pages load scenarios. */
export const folder = fileURLToPath(new URL('..', import.meta.url))

/** The names of the modules to run: `TIDELOCK_SCENARIOS=values,sync/push`. */
const wanted = process.env.TIDELOCK_SCENARIOS?.split(',')

/** Returns `{ name, path, remote }` of each module in a folder. */
const modulesIn = (under, remote) =>
  readdirSync(`${folder}/${under}`)
    .filter((file) => file.endsWith('.mjs'))
    .map((file) => ({ name: under + file.slice(0, -'.mjs'.length), path: `${folder}/${under}${file}`, remote }))

const all = [...modulesIn('', false), ...modulesIn('sync/', true)]
const unknown = wanted?.filter((name) => !all.some((module) => module.name === name)) ?? []
if (unknown.length > 0) {
  const names = all.map(({ name }) => name).join(', ')
  throw new Error(`TIDELOCK_SCENARIOS names ${unknown.map((name) => `'${name}'`).join(', ')}; there are ${names}`)
}
const chosen = all.filter(({ name }) => wanted?.includes(name) ?? true)

export const local = chosen.filter(({ remote }) => !remote)
export const withRemote = chosen.filter(({ remote }) => remote)
