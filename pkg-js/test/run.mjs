// Runs the tests of the TypeScript sources in Node: bundles each, which strips the types, then passes them to Node's test runner.
// `TIDELOCK_TESTS=options,tabs` selects tests by name.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'

const here = dirname(fileURLToPath(import.meta.url))
const wanted = process.env.TIDELOCK_TESTS?.split(',')
const all = readdirSync(here).filter((name) => name.endsWith('.test.mjs'))
const names = all.map((name) => name.slice(0, -'.test.mjs'.length))
const unknown = wanted?.filter((name) => !names.includes(name)) ?? []
if (unknown.length > 0) {
  console.error(`TIDELOCK_TESTS names ${unknown.map((name) => `'${name}'`).join(', ')}; there are ${names.join(', ')}`)
  process.exit(1)
}
const tests = all.filter((_, at) => wanted?.includes(names[at]) ?? true)
const out = mkdtempSync(join(tmpdir(), 'tidelock-unit-'))
let status = 1
try {
  await build({
    entryPoints: tests.map((name) => join(here, name)),
    outdir: out,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    sourcemap: 'inline',
    logLevel: 'warning',
    define: { TESTS: JSON.stringify(`${pathToFileURL(here)}/`) },
    plugins: [
      {
        // These modules read files beside them, so they are not bundled.
        name: 'in-place',
        setup: ({ onResolve }) =>
          onResolve({ filter: /(messages\/golden\.mjs|generated\/instance\.js)$/ }, ({ path, resolveDir }) => ({
            path: pathToFileURL(join(resolveDir, path)).href,
            external: true,
          })),
      },
    ],
  })
  const files = tests.map((name) => join(out, name))
  const node = [
    '--enable-source-maps',
    '--test',
    '--test-reporter=spec',
    '--test-concurrency=1',
    ...process.argv.slice(2),
    ...files,
  ]
  status = spawnSync(process.execPath, node, { stdio: 'inherit' }).status ?? 1
} finally {
  rmSync(out, { recursive: true, force: true })
}
process.exit(status)
