// Bundles the app of a framework with the built package, for a page and for Node.
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { compile } from 'svelte/compiler'
import { compileScript, parse } from 'vue/compiler-sfc'

const here = fileURLToPath(new URL('.', import.meta.url))
const dist = fileURLToPath(new URL('../../../pkg-js/dist/', import.meta.url))

/** Where pages find the package: its wasm lies beside its script. */
export const PACKAGE_FOLDER = dist
export const PACKAGE_URL = '/tidelock/'

/** Bundles an entry, a file of this folder or elsewhere, with development builds of the frameworks → the text of an ES module. */
export async function bundle(entry, { platform = 'browser' } = {}) {
  const isServer = platform === 'node'
  const { outputFiles } = await build({
    entryPoints: [path.resolve(here, entry)],
    bundle: true,
    format: 'esm',
    platform,
    target: 'es2022',
    jsx: 'automatic',
    write: false,
    logLevel: 'warning',
    legalComments: 'none',
    conditions: ['development'],
    define: {
      'process.env.NODE_ENV': '"development"',
      __VUE_OPTIONS_API__: 'true',
      __VUE_PROD_DEVTOOLS__: 'false',
      __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'true',
    },
    banner: isServer ? { js: "import { createRequire } from 'node:module'; const require = createRequire('/')" } : {},
    plugins: [packageAt(isServer ? dist : PACKAGE_URL), svelteFiles(isServer ? 'server' : 'client'), vueFiles],
  })
  return outputFiles[0].text
}

/** Leaves the package's own script to the page, so that there is one of it, beside its wasm; bundles its subpaths. */
const packageAt = (folder) => ({
  name: 'package',
  setup({ onResolve }) {
    const main = () => ({ path: `${folder}index.js`, external: true })
    onResolve({ filter: /^tidelock$/ }, main)
    onResolve({ filter: /^\.\.\/\.\.\/index\.js$/ }, ({ importer }) => (importer.startsWith(dist) ? main() : undefined))
    onResolve({ filter: /^tidelock\// }, ({ path: subpath }) => ({
      path: path.join(dist, 'integrations', subpath.slice('tidelock/'.length), 'index.js'),
    }))
  },
})

const svelteFiles = (generate) => ({
  name: 'svelte',
  setup({ onLoad }) {
    onLoad({ filter: /\.svelte$/ }, async ({ path: filename }) => ({
      contents: compile(await readFile(filename, 'utf8'), { filename, generate, dev: true }).js.code,
      resolveDir: path.dirname(filename),
    }))
  },
})

const vueFiles = {
  name: 'vue',
  setup({ onLoad }) {
    onLoad({ filter: /\.vue$/ }, async ({ path: filename }) => ({
      contents: compileScript(parse(await readFile(filename, 'utf8'), { filename }).descriptor, {
        id: filename,
        inlineTemplate: true,
      }).content,
      loader: 'ts',
      resolveDir: path.dirname(filename),
    }))
  },
}
