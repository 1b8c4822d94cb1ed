// The scenarios that need no remote, with the engine in a worker, over IndexedDB: those that store much and in many ways, or all of them with
// TIDELOCK_ALL=1. In a worker, all run over the browser's private file system (scenarios-opfs).
import { local } from '../scenarios/run/modules.mjs'
import { Browser } from './browser.mjs'
import { pagesOf, storing } from './scenarios.mjs'

await pagesOf(new Browser()).scenarios(
  'worker',
  local.filter(({ name }) => process.env.TIDELOCK_ALL || storing.includes(name)),
)
