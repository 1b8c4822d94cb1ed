// node scripts/bundle.mjs: bundles pkg-js/src/index.ts into pkg-js/dist/index.js, one script with the code that every page needs, and beside
// it the modules that it loads later with `import()`. These modules import what `open` needs from index.js, under names that begin with `$`:
// so a page loads it once. What only other exports need is in index.js for them, where apps' bundlers omit it, and again in these modules.
// Each script has a source map.

import { writeFile } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('../pkg-js/', import.meta.url))
const dist = join(root, 'dist')
const common = { bundle: true, format: 'esm', platform: 'neutral', target: 'es2022', charset: 'utf8', write: false }
const mapped = { ...common, sourcemap: 'linked' }
const sourceOf = (from, path) => resolve(from, path.replace(/\.js$/, '.ts'))
/** The parser of cron patterns, a third-party package, is bundled as a file of its own. */
const apart = new Set([join(root, 'src/base/cron.ts')])

/** Keeps dynamically imported modules as separate files beside the script, and records them. */
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
const { metafile } = await build({
  ...common,
  stdin: { contents: `export { open } from './src/index.ts'`, resolveDir: root },
  metafile: true,
  plugins: [dynamicImports(later)],
  absWorkingDir: root,
})
const [{ inputs }] = Object.values(metafile.outputs)
const atOnce = new Set(
  Object.keys(inputs)
    .filter((path) => inputs[path].bytesInOutput > 0)
    .map((path) => join(root, path)),
)

/** Makes the later modules import shared sources from index.js. Until its export names are known, the path holds the name of the source. */
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
  ...mapped,
  // Sorted, so that each build writes the same files.
  entryPoints: [...later].sort(),
  entryNames: '[name]',
  chunkNames: '[name]-[hash]',
  splitting: true,
  outdir: dist,
  plugins: [dynamicImports(later), fromIndex],
})
for (const { path, text } of modules.outputFiles) {
  if (path.endsWith('.map')) {
    await writeFile(path, text)
    continue
  }
  const code = text.replace(/^import \{([^}]*)\} from "\.\/index\.js\?(.*)";$/gm, (_, list, source) => {
    // In place, since the source map counts lines.
    const renamed = list.replace(/[^\s,]+(?: as [^\s,]+)?/g, (item) => {
      const [name, own = name] = item.split(' as ')
      const known = shared.get(`$${name}`)
      if (known !== undefined && known.source !== source)
        throw new Error(
          `${known.source} and ${source} both export ${name} to modules that are loaded later: rename one`,
        )
      shared.set(`$${name}`, { name, source })
      return `$${name} as ${own}`
    })
    return `import {${renamed}} from "./index.js";`
  })
  if (code.includes('index.js?')) throw new Error(`${path} imports from index.js in an unsupported form`)
  await writeFile(path, code)
}

const internal = [...shared].map(([as, { name, source }]) => `export { ${name} as ${as} } from './${source}'`)
const index = await build({
  ...mapped,
  stdin: { contents: [`export * from './src/index.ts'`, ...internal].join('\n'), resolveDir: root },
  outfile: join(dist, 'index.js'),
  plugins: [dynamicImports(later)],
})
for (const { path, text } of index.outputFiles) await writeFile(path, text)
