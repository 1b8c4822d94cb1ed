// Runs the unit tests of the TypeScript face in Node: bundles each (which takes the types away), then hands them to Node's test runner.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'

const here = dirname(fileURLToPath(import.meta.url))
const tests = readdirSync(here).filter((name) => name.endsWith('.test.mjs'))
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
    // The wasm glue is no part of these tests.
    external: ['../generated/instance.js'],
    plugins: [
      {
        // It has files beside it: it stays where it is.
        name: 'golden',
        setup: ({ onResolve }) =>
          onResolve({ filter: /messages\/golden\.mjs$/ }, ({ path, resolveDir }) => ({
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
