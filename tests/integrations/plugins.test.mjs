// The plugins of Vite and esbuild: their types, and esbuild's output for Node. tests/packaging/bundlers.test.mjs drives what they build.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { tidelock } from 'tidelock/esbuild'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))

test('the plugins fit the types of Vite and esbuild', async () => {
  const options = [
    '--strict',
    '--noEmit',
    '--skipLibCheck',
    '--target',
    'es2022',
    '--module',
    'nodenext',
    '--types',
    'node',
  ]
  await run(join(root, 'node_modules/.bin/tsc'), [...options, 'tests/integrations/plugins/plugins.ts'], {
    cwd: root,
  }).catch((error) => assert.fail(error.stdout || error.message))
})

const program = `
  import { open } from 'tidelock'
  open({ name: 'bundled', storage: 'memory' })
    .then(async (db) => {
      console.log(JSON.stringify([await db.query('SELECT 1 AS one'), (await db.health()).status]))
      await db.close()
    })`

for (const [format, extension] of [
  ['cjs', 'cjs'],
  ['esm', 'mjs'],
])
  test(`esbuild, for Node, format ${format}: the program finds the copied wasm from any folder`, async () => {
    const outdir = await mkdtemp(join(tmpdir(), 'tidelock-esbuild-'))
    try {
      await build({
        stdin: { contents: program, resolveDir: root, sourcefile: 'main.js' },
        bundle: true,
        platform: 'node',
        format,
        outdir,
        outExtension: { '.js': `.${extension}` },
        plugins: [tidelock()],
        logLevel: 'silent',
      })
      const [main] = (await readdir(outdir)).filter((name) => name.endsWith(extension))
      const { stdout } = await run(process.execPath, [join(outdir, main)], { cwd: tmpdir() })
      assert.deepEqual(JSON.parse(stdout), [[{ one: 1 }], 'ok'])
    } finally {
      await rm(outdir, { recursive: true, force: true })
    }
  })
