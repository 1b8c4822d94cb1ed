// Each scenario, with the engine on the page's thread.
import { scenariosIn } from './scenarios.mjs'

await scenariosIn('current')
