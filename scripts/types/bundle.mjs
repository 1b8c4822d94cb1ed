// node scripts/types/bundle.mjs: bundles the declarations that tsc wrote to pkg-js/types into one file for each entry of the package. An
// internal module of the package thus has no path that an app could import, and no type of it that no public type needs is shipped. Entries
// of integrations import the types of `../../index.js`, as their code does.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rollup } from 'rollup'
import { dts } from 'rollup-plugin-dts'

const root = fileURLToPath(new URL('../../pkg-js/', import.meta.url))
const face = join(root, 'types/index.d.ts')

/** The declarations of each entry, and the file that the bundle goes to. */
async function entries() {
  const { exports } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  const targets = Object.values(exports).flatMap(({ types }) => types ?? [])
  return targets.map((file) => ({
    // The worker is the one entry whose source has another name.
    source: join(root, file === './dist/worker.d.ts' ? 'types/worker/main.d.ts' : file.replace('./dist/', 'types/')),
    file: join(root, file),
  }))
}

async function bundle({ source, file }) {
  const build = await rollup({
    input: source,
    // A package stays an import, and so does the public face in a bundle other than its own.
    external: (name, importer) => importer !== undefined && (!/^[./]/.test(name) || isFace(name, importer, source)),
    plugins: [dts({ tsconfig: false }), referencesFirst],
    onwarn({ code, message }) {
      if (['UNRESOLVED_IMPORT', 'MISSING_EXPORT'].includes(code)) throw new Error(`${file}: ${message}`)
      // The worker exports nothing.
      if (code !== 'EMPTY_BUNDLE') console.warn(`${file}: ${message}`)
    },
  })
  await build.write({ file, format: 'es' })
  await build.close()
}

/** Moves references to libraries to the head of a bundle: TypeScript ignores them anywhere else. */
const referencesFirst = {
  name: 'references-first',
  renderChunk(code) {
    const reference = /^\/\/\/ <reference .*\n/gm
    return [...new Set(code.match(reference)), code.replace(reference, '')].join('')
  },
}

function isFace(name, importer, source) {
  return source !== face && join(importer, '..', name).replace(/\.js$/, '.d.ts') === face
}

const missing = []
for (const entry of await entries()) {
  const exists = await readFile(entry.source).catch(() => undefined)
  if (exists === undefined) missing.push(entry.source)
  else await bundle(entry)
}
if (missing.length > 0) console.log(`no declarations yet: ${missing.map((file) => file.slice(root.length)).join(', ')}`)
