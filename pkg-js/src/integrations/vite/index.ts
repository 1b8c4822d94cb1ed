/** The part of Vite's configuration that the plugin reads. */
export interface ViteUserConfig {
  worker?: { format?: 'es' | 'iife' | undefined } | undefined
}

/** The configuration that the plugin adds to that of Vite. */
export interface ViteConfig {
  optimizeDeps: { exclude: string[] }
  worker?: { format: 'es' }
}

/** A plugin of Vite. */
export interface VitePlugin {
  name: string
  config(user: ViteUserConfig): ViteConfig
}

/**
 * Returns a plugin for Vite. It leaves tidelock out of Vite's dependency optimizer, which moves scripts in development but leaves the wasm
 * files and the worker behind. Most apps don't need it, because tidelock finds its files in `node_modules/tidelock` then. Use it where the
 * package is somewhere else: in a monorepo that installs packages in its root folder, or with the option `cacheDir`.
 *
 * It also sets `worker.format` to `'es'`, unless your configuration has one: a module worker of the app that imports tidelock needs it.
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
  return {
    name: 'tidelock',
    config: ({ worker }) => ({
      optimizeDeps: { exclude: ['tidelock'] },
      // Vite's default for workers is one classic script, which can't load modules later as tidelock does.
      ...(worker?.format === undefined ? { worker: { format: 'es' } } : {}),
    }),
  }
}
