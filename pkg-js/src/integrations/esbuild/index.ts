import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** What the plugin uses of esbuild's `PluginBuild`. */
export interface EsbuildPluginBuild {
  readonly initialOptions: {
    readonly format?: 'iife' | 'cjs' | 'esm'
    readonly platform?: 'browser' | 'node' | 'neutral'
  }
  onResolve(
    options: { filter: RegExp },
    resolve: (file: { path: string; resolveDir: string }) => { path: string; namespace: string },
  ): void
  onLoad(
    options: { filter: RegExp; namespace?: string },
    load: (file: { path: string }) => { contents: string | Uint8Array; loader: 'js' | 'file'; resolveDir?: string },
  ): void
}

/** A plugin of esbuild. */
export interface EsbuildPlugin {
  name: string
  setup(build: EsbuildPluginBuild): void
}

/** The prefix of imports, and the namespace, of files that are copied. */
const copied = 'tidelock-file'
/** The module of the output's address, for formats without `import.meta`. */
const address = 'tidelock-address'

/**
 * Returns a plugin for esbuild. It copies the wasm files and the worker into the output folder, because esbuild ignores
 * `new URL('./file', import.meta.url)`. Their names follow `assetNames`, their addresses `publicPath`. It works with each output format.
 *
 * @example
 * ```ts
 * import { build } from 'esbuild'
 * import { tidelock } from 'tidelock/esbuild'
 *
 * await build({ entryPoints: ['main.js'], bundle: true, format: 'esm', outdir: 'dist', plugins: [tidelock()] })
 * ```
 */
export function tidelock(): EsbuildPlugin {
  return {
    name: 'tidelock',
    setup(build) {
      const dist = fileURLToPath(new URL('../../', import.meta.url))
      const script = new RegExp(`^${dist.replace(/[^\w/]/g, '\\$&')}[^\\\\/]+\\.js$`)
      const expression = addressOf(build.initialOptions)
      build.onLoad({ filter: script, namespace: 'file' }, ({ path }) => ({
        contents: withImports(readFileSync(path, 'utf8'), expression !== undefined),
        loader: 'js',
        resolveDir: dist,
      }))
      build.onResolve({ filter: new RegExp(`^${copied}:`) }, ({ path }) => ({
        path: join(dist, path.slice(copied.length + 1)),
        namespace: copied,
      }))
      build.onLoad({ filter: /./, namespace: copied }, ({ path }) => ({ contents: readFileSync(path), loader: 'file' }))
      build.onResolve({ filter: new RegExp(`^${address}$`) }, ({ path }) => ({ path, namespace: address }))
      build.onLoad({ filter: /./, namespace: address }, () => ({
        contents: `export const tidelockAddress = ${expression}`,
        loader: 'js',
      }))
    },
  }
}

/** Replaces the URLs of files beside a script by imports, which esbuild's loader `file` copies. */
function withImports(script: string, withoutMeta: boolean): string {
  const imports: string[] = []
  const base = withoutMeta ? 'tidelockAddress' : 'import.meta.url'
  const text = script.replace(/new URL\("\.\/([^"]+)", import\.meta\.url\)/g, (_, file: string) => {
    const name = `tidelockFile${imports.length}`
    imports.push(`import ${name} from "${copied}:${file}"; `)
    return `new URL(${name}, ${base})`
  })
  if (imports.length === 0) return script
  if (withoutMeta) imports.push(`import { tidelockAddress } from "${address}"; `)
  // In the first line, so that the numbers of lines stay.
  return imports.join('') + text.replace(/= import\.meta\.url;/g, `= ${base};`)
}

/** Returns the expression for the address of the output, or undefined for modules, each of which has its own. */
function addressOf({ format, platform }: EsbuildPluginBuild['initialOptions']): string | undefined {
  if (format === 'esm' || (format === undefined && platform === 'neutral')) return undefined
  if (format === 'cjs' || (format === undefined && platform === 'node'))
    return 'require("node:url").pathToFileURL(__filename).href'
  // A script knows itself only while it begins.
  return 'document.currentScript?.src ?? location.href'
}
