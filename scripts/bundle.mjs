// node scripts/bundle.mjs: pkg-js/src/index.ts → pkg-js/dist/index.js, one script with all that every page needs, and beside it the modules
// that it imports when they are first needed (`import()`). What those share with index.js they import from there, under names that
// begin with `$`: so a page asks for no further script, and there is one of everything.

import { writeFile } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('../pkg-js/', import.meta.url))
const dist = join(root, 'dist')
const common = { bundle: true, format: 'esm', platform: 'neutral', target: 'es2022', charset: 'utf8', write: false }
const sourceOf = (from, path) => resolve(from, path.replace(/\.js$/, '.ts'))
/** The parser of cron patterns is bundled by itself: it isn't ours. */
const apart = new Set([join(root, 'src/base/cron.ts')])

/** Leaves what is imported dynamically where it is, beside the script, and notes it. */
const dynamicImports = (found) => ({
  name: 'dynamic imports',
  setup({ onResolve }) {
    onResolve({ filter: /^\./ }, ({ path, kind, resolveDir }) => {
      if (kind !== 'dynamic-import') return undefined
      const source = sourceOf(resolveDir, path)
      if (!apart.has(source)) found.add(source)
      return { path: `./${source.match(/([^/]+)\.ts$/)[1]}.js`, external: true }
    })
  },
})

const later = new Set()
const entry = join(root, 'src/index.ts')
const { metafile } = await build({
  ...common,
  entryPoints: [entry],
  metafile: true,
  plugins: [dynamicImports(later)],
  absWorkingDir: root,
})
const atOnce = new Set(Object.keys(metafile.inputs).map((path) => join(root, path)))

/** Has what index.js contains imported from there: until the names are known, from an address that says which source it is. */
const fromIndex = {
  name: 'from index',
  setup({ onResolve }) {
    onResolve({ filter: /^\./ }, ({ path, kind, resolveDir }) => {
      const source = [sourceOf(resolveDir, path), resolve(resolveDir, path)].find((source) => atOnce.has(source))
      return kind === 'import-statement' && source
        ? { path: `./index.js?${relative(root, source)}`, external: true }
        : undefined
    })
  },
}
const shared = new Map()
const modules = await build({
  ...common,
  entryPoints: [...later],
  entryNames: '[name]',
  chunkNames: '[name]-[hash]',
  splitting: true,
  outdir: dist,
  plugins: [dynamicImports(later), fromIndex],
})
for (const { path, text } of modules.outputFiles) {
  const code = text.replace(/^import \{([^}]*)\} from "\.\/index\.js\?(.*)";$/gm, (_, list, source) => {
    const renamed = list.split(',').map((item) => {
      const [name, own = name] = item.trim().split(' as ')
      const known = shared.get(`$${name}`)
      if (known !== undefined && known.source !== source)
        throw new Error(`${known.source} and ${source} both give ${name} to modules that are loaded later: rename one`)
      shared.set(`$${name}`, { name, source })
      return `\n  $${name} as ${own}`
    })
    return `import {${renamed.join(',')}\n} from "./index.js";`
  })
  if (code.includes('index.js?')) throw new Error(`${path} imports from index.js in a form that is not known here`)
  await writeFile(path, code)
}

const internal = [...shared].map(([as, { name, source }]) => `export { ${name} as ${as} } from './${source}'`)
const index = await build({
  ...common,
  stdin: { contents: [`export * from './src/index.ts'`, ...internal].join('\n'), resolveDir: root },
  outfile: join(dist, 'index.js'),
  plugins: [dynamicImports(later)],
})
await writeFile(join(dist, 'index.js'), index.outputFiles[0].text)
