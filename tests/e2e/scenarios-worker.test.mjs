// Each scenario, with the engine in a worker.
import { scenariosIn } from './scenarios.mjs'

await scenariosIn('worker')
