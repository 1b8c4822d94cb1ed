// Type-checked against Vite and esbuild: the package's types of plugins are its own, so that it needs neither.
import { build } from 'esbuild'
import { tidelock as forEsbuild } from 'tidelock/esbuild'
import { tidelock as forVite } from 'tidelock/vite'
import { defineConfig } from 'vite'

export default defineConfig({ plugins: [forVite()] })

export const built = () => build({ entryPoints: ['main.js'], bundle: true, plugins: [forEsbuild()] })
