// The modules of scenarios: those that need a remote are under sync/.
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The folder that pages load scenarios from. */
export const folder = fileURLToPath(new URL('..', import.meta.url))

/** `{ name, path, remote }` of each: `values`, `sync/push`. `TIDELOCK_SCENARIOS=values,sync/push` names those that are meant. */
export const modules = ['', 'sync/'].flatMap((under) =>
  readdirSync(`${folder}/${under}`)
    .filter((file) => file.endsWith('.mjs'))
    .map((file) => ({
      name: under + file.slice(0, -'.mjs'.length),
      path: `${folder}/${under}${file}`,
      remote: under !== '',
    })),
)

const wanted = process.env.TIDELOCK_SCENARIOS?.split(',')

export const chosen = wanted === undefined ? modules : modules.filter(({ name }) => wanted.includes(name))
