// The scenarios of sync in pages: those in which the browser's fetch, its storage or its callbacks matter, or all of them with
// TIDELOCK_ALL=1. Node runs all of them.
import { withRemote } from '../scenarios/run/modules.mjs'
import { oneProcess, pagesOf } from './scenarios.mjs'

const chosen = {
  current: ['first-example', 'supabase', 'trouble'],
  worker: ['auth'],
}
/** Of those modules, what a pull decides by itself. */
const decided = [
  'deleted: compare finds hard deletions, and spares rows with unpushed changes',
  'the guard against an empty remote: all rows of any table, more than maxDeleteRatio of one over 20, in both modes',
  'row security that hides everything empties nothing',
]
const pages = pagesOf(oneProcess())
for (const [thread, names] of Object.entries(chosen))
  await pages.scenarios(
    thread,
    withRemote.filter(({ name }) => process.env.TIDELOCK_ALL || names.includes(name.slice('sync/'.length))),
    undefined,
    process.env.TIDELOCK_ALL ? [] : decided,
  )
