/** The configuration that the plugin adds to that of Vite. */
export interface ViteConfig {
  optimizeDeps: { exclude: string[] }
}

/** A plugin of Vite. */
export interface VitePlugin {
  name: string
  config(): ViteConfig
}

/**
 * Returns a plugin for Vite. It leaves tidelock out of Vite's dependency optimizer, which moves scripts in development but leaves the wasm
 * files and the worker behind. Most apps don't need it, because tidelock finds its files in `node_modules/tidelock` then. Use it where the
 * package is somewhere else: in a monorepo that installs packages in its root folder, or with the option `cacheDir`.
 *
 * @example
 * ```ts
 * import { tidelock } from 'tidelock/vite'
 * import { defineConfig } from 'vite'
 *
 * export default defineConfig({ plugins: [tidelock()] })
 * ```
 */
export function tidelock(): VitePlugin {
  return { name: 'tidelock', config: () => ({ optimizeDeps: { exclude: ['tidelock'] } }) }
}
