// The modules of scenarios: those that need a remote are under sync/.
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The folder from which pages load scenarios. */
export const folder = fileURLToPath(new URL('..', import.meta.url))

const wanted = process.env.TIDELOCK_SCENARIOS?.split(',')

/** Returns `{ name, path, remote }` of each module in a folder; `TIDELOCK_SCENARIOS=values,sync/push` selects modules. */
const modulesIn = (under, remote) =>
  readdirSync(`${folder}/${under}`)
    .filter((file) => file.endsWith('.mjs'))
    .map((file) => ({ name: under + file.slice(0, -'.mjs'.length), path: `${folder}/${under}${file}`, remote }))
    .filter(({ name }) => wanted === undefined || wanted.includes(name))

export const local = modulesIn('', false)
export const withRemote = modulesIn('sync/', true)
