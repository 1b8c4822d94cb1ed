// The scenarios of sync in pages: those in which the browser's fetch, its storage or its callbacks matter, or all of them with
// TIDELOCK_ALL=1. Node runs all of them.
import { withRemote } from '../scenarios/run/modules.mjs'
import { oneProcess, pagesOf } from './scenarios.mjs'

const chosen = {
  current: ['contract', 'first-example', 'supabase', 'trouble'],
  worker: ['auth'],
}
const pages = pagesOf(oneProcess())
for (const [thread, names] of Object.entries(chosen))
  await pages.scenarios(
    thread,
    withRemote.filter(({ name }) => process.env.TIDELOCK_ALL || names.includes(name.slice('sync/'.length))),
  )
