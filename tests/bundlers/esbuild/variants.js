// The other forms of esbuild's output: modules in folders of their own, and one script.
import { build } from 'esbuild'
import { tidelock } from 'tidelock/esbuild'

const common = { bundle: true, minify: true, plugins: [tidelock()] }
await build({
  ...common,
  entryPoints: ['main.js'],
  format: 'esm',
  splitting: true,
  outdir: 'split',
  entryNames: 'pages/[name]',
  chunkNames: 'chunks/shared/[name]-[hash]',
  assetNames: 'files/[name]-[hash]',
})
await build({ ...common, entryPoints: ['main.js'], outdir: 'script/in-a-folder' })
