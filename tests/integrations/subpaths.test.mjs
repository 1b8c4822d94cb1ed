// The subpaths of the package (`tidelock/react` and so on): each is built, has types, and imports nothing but the package itself and its
// own framework, so that an app without the subpath has none of its code.

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = new URL('../../pkg-js/', import.meta.url)
const manifest = JSON.parse(await readFile(new URL('package.json', root), 'utf8'))
const subpaths = Object.entries(manifest.exports).filter(([, { types }]) => types?.includes('/integrations/'))

for (const [subpath, { types, default: entry }] of subpaths) {
  test(`tidelock${subpath.slice(1)} is built, typed, and imports only what it is made for`, async () => {
    assert.ok(existsSync(new URL(types, root)), `${types} is missing`)
    const { metafile } = await build({
      entryPoints: [fileURLToPath(new URL(entry, root))],
      bundle: true,
      packages: 'external',
      external: ['../../index.js'],
      format: 'esm',
      metafile: true,
      write: false,
    })
    const framework = subpath.slice(2)
    for (const { path } of Object.values(metafile.outputs)[0].imports) {
      const allowed =
        path === '../../index.js' ||
        path.startsWith('node:') ||
        path.split(/[-/]/).some((word) => framework.startsWith(word.replace('@', '')))
      assert.ok(allowed, `${subpath} imports ${path}`)
    }
  })
}
