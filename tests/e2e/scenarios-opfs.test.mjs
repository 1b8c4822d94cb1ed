// The scenarios that need no remote over databases in the browser's private file system: all with the engine in a worker, and with the engine
// on the page's thread those that store much and in many ways.
import { Browser } from './browser.mjs'
import { localInPages, pagesOf, storing } from './scenarios.mjs'

const pages = pagesOf(new Browser())
await pages.scenarios('worker', localInPages, 'opfs')
await pages.scenarios(
  'current',
  localInPages.filter(({ name }) => storing.includes(name)),
  'opfs',
)
