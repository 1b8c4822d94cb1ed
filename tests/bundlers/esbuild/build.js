import { build } from 'esbuild'
import { tidelock } from 'tidelock/esbuild'

await build({
  entryPoints: ['main.js'],
  bundle: true,
  format: 'esm',
  outdir: 'dist',
  plugins: [tidelock()],
})
