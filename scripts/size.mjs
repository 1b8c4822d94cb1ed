// node scripts/size.mjs: prints the sizes of the built wasm, the core and its parts, and holds them to benches/size-budget.json.

import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'

const folder = new URL('../pkg-js/dist/', import.meta.url)
const budget = JSON.parse(readFileSync(new URL('../benches/size-budget.json', import.meta.url), 'utf8'))
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
      `${fileURLToPath(new URL(name, folder))} needs C functions that nobody provides: ${missing.map((one) => one.name).join(', ')}`,
    )
  const gzip = gzipSync(bytes, { level: 9 }).length
  const brotli = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }).length
  const limit = budget[name].gzip
  console.log(
    `wasm: ${name.padEnd(24)} raw ${pad(kb(bytes.length), 9)}, gzip ${pad(kb(gzip), 8)}, brotli ${pad(kb(brotli), 8)} (budget: ${kb(limit)} gzip)`,
  )
  if (gzip > limit) {
    fail(
      `${name}: ${gzip} bytes of gzip are over the budget of ${limit}: make it smaller, or raise the budget in benches/size-budget.json and say why`,
    )
  }
  if (gzip < limit * 0.97) {
    console.log(
      `wasm: more than 3 % under its budget: set gzip to ${gzip} in benches/size-budget.json to keep it there`,
    )
  }
}

function fail(message) {
  console.error(`size: ${message}`)
  process.exit(1)
}
