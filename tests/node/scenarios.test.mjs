// The scenarios that need no remote, in Node.
import { local } from '../scenarios/run/modules.mjs'
import { scenariosInNode } from './scenarios.mjs'

await scenariosInNode(local)
