import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const source = fileURLToPath(new URL('../../pkg-js/src/', import.meta.url))

/** Bundles and imports a module of the package's source. */
export async function bundled(name) {
  const stdin = { contents: `export * from './${name}'`, resolveDir: source, loader: 'ts' }
  const { outputFiles } = await build({
    stdin,
    bundle: true,
    format: 'esm',
    target: 'es2022',
    write: false,
    logLevel: 'error',
  })
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`)
}
