// The scenarios that need no remote over databases in the browser's private file system: all with the engine in a worker, and with the engine
// on the page's thread those that store much and in many ways.
import { localModules, oneProcess, pagesOf } from './scenarios.mjs'

const pages = pagesOf(oneProcess())
await pages.scenarios('worker', localModules.all, 'opfs')
await pages.scenarios('current', localModules.storing, 'opfs')
