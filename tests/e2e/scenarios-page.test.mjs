// The scenarios that need no remote, with the engine on the page's thread, over IndexedDB.
import { localModules, oneProcess, pagesOf } from './scenarios.mjs'

await pagesOf(oneProcess()).scenarios('current', localModules.page)
