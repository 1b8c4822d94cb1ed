import { readFileSync } from 'node:fs'
import react from '@vitejs/plugin-react'
import { defineConfig, type Plugin } from 'vite'

/** Writes the service worker with the names of all files, so that the app opens without a network, too. */
const serviceWorker: Plugin = {
  name: 'service-worker',
  enforce: 'post',
  generateBundle(_, bundle) {
    const files = JSON.stringify(['/', ...Object.keys(bundle)])
    const source = readFileSync('service-worker.js', 'utf8').replace('[]', files)
    this.emitFile({ type: 'asset', fileName: 'service-worker.js', source })
  },
}

export default defineConfig({ plugins: [react(), serviceWorker] })
