// The scenarios of sync, with the engine on the page's thread; in a worker those in which its fetch and its callbacks matter, or all of them
// with TIDELOCK_ALL=1.
import { withRemote } from '../scenarios/run/modules.mjs'
import { scenariosIn } from './scenarios.mjs'

const inWorker = ['sync/auth', 'sync/conflicts', 'sync/first-example', 'sync/pull']
await scenariosIn('current', withRemote)
await scenariosIn(
  'worker',
  withRemote.filter(({ name }) => process.env.TIDELOCK_ALL || inWorker.includes(name)),
)
