// The scenarios that need no remote, with the engine on the page's thread.
import { local } from '../scenarios/run/modules.mjs'
import { scenariosIn } from './scenarios.mjs'

await scenariosIn('current', local)
