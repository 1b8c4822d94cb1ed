// The scenarios that need no remote, with the engine in a worker.
import { local } from '../scenarios/run/modules.mjs'
import { scenariosIn } from './scenarios.mjs'

await scenariosIn('worker', local)
