// The scenarios that need no remote, with the engine in a worker, over IndexedDB.
import { localModules, oneProcess, pagesOf } from './scenarios.mjs'

await pagesOf(oneProcess()).scenarios('worker', localModules.worker)
