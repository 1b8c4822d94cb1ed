// The scenarios that need no remote, with the engine on the page's thread.
import { Browser } from './browser.mjs'
import { localInPages, pagesOf } from './scenarios.mjs'

await pagesOf(new Browser()).scenarios('current', localInPages)
