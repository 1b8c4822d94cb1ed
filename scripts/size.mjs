// node scripts/size.mjs: prints the built wasm's sizes and holds them to benches/size-budget.json.

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'

const path = fileURLToPath(new URL('../pkg-js/dist/tidelock_bg.wasm', import.meta.url))
const budget = JSON.parse(readFileSync(new URL('../benches/size-budget.json', import.meta.url), 'utf8'))[
  'tidelock_bg.wasm'
]
const bytes = readFileSync(path)

const imports = WebAssembly.Module.imports(new WebAssembly.Module(bytes)).filter(({ module }) => module === 'env')
if (imports.length > 0)
  fail(`${path} needs C functions that nobody provides: ${imports.map(({ name }) => name).join(', ')}`)

const sizes = {
  raw: bytes.length,
  gzip: gzipSync(bytes, { level: 9 }).length,
  brotli: brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }).length,
}
const kb = (n) => `${(n / 1000).toFixed(1)} KB`
console.log(
  `wasm: ${Object.entries(sizes)
    .map(([kind, n]) => `${kind} ${kb(n)}`)
    .join(', ')} (budget: ${kb(budget.gzip)} gzip)`,
)

if (sizes.gzip > budget.gzip) {
  fail(
    `${sizes.gzip} bytes of gzip are over the budget of ${budget.gzip}: make it smaller, or raise the budget in benches/size-budget.json and say why`,
  )
}
if (sizes.gzip < budget.gzip * 0.97) {
  console.log(
    `wasm: more than 3 % under its budget: set gzip to ${sizes.gzip} in benches/size-budget.json to keep it there`,
  )
}

function fail(message) {
  console.error(`size: ${message}`)
  process.exit(1)
}
