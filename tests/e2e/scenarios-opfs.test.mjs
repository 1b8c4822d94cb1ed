// The scenarios that need no remote over databases in the browser's private file system, with the engine in a worker and on the page's thread.
import { localModules, oneProcess, pagesOf } from './scenarios.mjs'

const pages = pagesOf(oneProcess())
for (const thread of ['worker', 'current']) await pages.scenarios(thread, localModules.opfs[thread], 'opfs')
