// The scenarios of sync, in Node.
import { withRemote } from '../scenarios/run/modules.mjs'
import { scenariosInNode } from './scenarios.mjs'

await scenariosInNode(withRemote)
