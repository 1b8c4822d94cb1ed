// node benches/browser/page.mjs [--port N]: serves the benchmark's page for a browser of yours, until Ctrl-C.

import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { buildPage, serve } from './server.mjs'

const { values: options } = parseArgs({ options: { port: { type: 'string', default: '0' } } })
const folder = await buildPage(fileURLToPath(new URL('../../.cache/bench/page', import.meta.url)))
const { url } = await serve(folder, { port: Number(options.port) })
console.log(`The benchmark  ${url}/isolated/  (all engines)`)
console.log(`               ${url}/  (as most pages are served: without COOP and COEP, which SQLocal and Turso need)`)
console.log('Ctrl-C ends it.')
