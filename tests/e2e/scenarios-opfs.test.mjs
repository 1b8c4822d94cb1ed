// The scenarios that need no remote over databases in the browser's private file system: with the engine on the page's thread only those
// that store much and in many ways.
import { localModules, oneProcess, pagesOf } from './scenarios.mjs'

const pages = pagesOf(oneProcess())
await pages.scenarios('worker', localModules.opfs, 'opfs')
await pages.scenarios('current', localModules.storing, 'opfs')
