import { defineConfig } from 'vite'

// For production, as users have it. Peers and tidelock come from different folders: each by its own name.
export default defineConfig({
  base: './',
  build: { target: 'es2022', assetsInlineLimit: 0, chunkSizeWarningLimit: 100_000, modulePreload: false },
  worker: { format: 'es' },
})
