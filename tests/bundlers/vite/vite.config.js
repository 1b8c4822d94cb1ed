import { tidelock } from 'tidelock/vite'
import { defineConfig } from 'vite'

export default defineConfig({
  plugins: [tidelock()],
})
