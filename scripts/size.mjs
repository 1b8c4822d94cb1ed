// node scripts/size.mjs [--update]: prints the sizes of the built wasm, the core and its parts, and fails when one is more than 2 % over
// benches/size-budget.json (2 % of tolerance, so that a fix of one line passes). `--update` writes the budget.

import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import { build } from 'esbuild'

const folder = new URL('../pkg-js/dist/', import.meta.url)
const file = new URL('../benches/size-budget.json', import.meta.url)
const budget = JSON.parse(readFileSync(file, 'utf8'))
const slack = 0.02
const update = process.argv.includes('--update')
const kb = (n) => `${(n / 1000).toFixed(1)} KB`
const pad = (text, width) => String(text).padStart(width)

const files = readdirSync(folder).filter((name) => name.endsWith('.wasm'))
for (const name of new Set([...files, ...Object.keys(budget)])) {
  if (!files.includes(name) || !budget[name]) fail(`${name} is in only one of pkg-js/dist and benches/size-budget.json`)
}
for (const name of Object.keys(budget)) {
  const bytes = readFileSync(new URL(name, folder))
  const missing = WebAssembly.Module.imports(new WebAssembly.Module(bytes)).filter(({ module }) => module === 'env')
  if (missing.length > 0)
    fail(
      `${fileURLToPath(new URL(name, folder))} needs C functions that are missing: ${missing.map((one) => one.name).join(', ')}`,
    )
  const gzip = gzipSync(bytes, { level: 9 }).length
  const brotli = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }).length
  const known = budget[name].gzip
  console.log(
    `wasm: ${name.padEnd(24)} raw ${pad(kb(bytes.length), 9)}, gzip ${pad(kb(gzip), 8)}, brotli ${pad(kb(brotli), 8)} (budget: ${kb(known)} gzip)`,
  )
  if (update) budget[name].gzip = gzip
  else if (gzip > known * (1 + slack))
    fail(`${name}: ${gzip} bytes of gzip exceed the budget of ${known} by more than 2 %: make it smaller, or run
  node scripts/size.mjs --update, and give the reason in the commit`)
  else if (gzip < known * (1 - slack))
    console.log(`wasm: more than 2 % under the budget: run node scripts/size.mjs --update`)
}
/** The limit of a subpath, in bytes of minified code under gzip, without its framework. */
const subpathLimit = 4000
/** Larger limits. `testing` has a whole remote, and no app ships it. */
const subpathLimits = { testing: 10_240 }
/** The limits of what the inspector loads when it is shown; its entry has that of a subpath. */
const inspectorLimits = { 'panel.js': 32_000, 'editor.js': 140_000 }
const integrations = new URL('integrations/', folder)
for (const name of existsSync(integrations) ? readdirSync(integrations) : []) {
  const entry = fileURLToPath(new URL(`${name}/index.js`, integrations))
  if (!existsSync(entry)) continue
  const { outputFiles } = await build({ entryPoints: [entry], minify: true, write: false })
  const gzip = gzipSync(outputFiles[0].contents, { level: 9 }).length
  const limit = subpathLimits[name] ?? subpathLimit
  console.log(`tidelock/${name}: gzip ${kb(gzip)} (limit: ${kb(limit)})`)
  if (gzip > limit) fail(`tidelock/${name}: ${gzip} bytes of gzip exceed the limit of ${limit}`)
}
const inspector = new URL('integrations/inspector/', folder)
for (const [name, limit] of existsSync(inspector) ? Object.entries(inspectorLimits) : []) {
  const gzip = gzipSync(readFileSync(new URL(name, inspector)), { level: 9 }).length
  console.log(`tidelock/inspector: ${name}: gzip ${kb(gzip)} (limit: ${kb(limit)})`)
  if (gzip > limit) fail(`tidelock/inspector: ${name}: ${gzip} bytes of gzip exceed the limit of ${limit}`)
}
if (update)
  writeFileSync(
    file,
    `${JSON.stringify(budget, undefined, 1)
      .replace(/\n {2}"gzip": (\d+)\n }/g, ' "gzip": $1 }')
      .replaceAll('\n ', '\n  ')}\n`,
  )

function fail(message) {
  console.error(`size: ${message}`)
  process.exit(1)
}
