// The scenarios that need no remote, with the engine in a worker and the databases in the browser's private file system.
import { local } from '../scenarios/run/modules.mjs'
import { Browser } from './browser.mjs'
import { pagesOf } from './scenarios.mjs'

await pagesOf(new Browser()).scenarios('worker', local, 'opfs')
