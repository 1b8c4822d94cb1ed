import { TidelockError } from './errors.js'
import { until } from './waiting.js'

/** How long a file of the package may take to load, in milliseconds: a slow network has the core in a minute. */
export const longestLoadMs = 120_000

/**
 * Resolves with a module of this package that `import()` loads when it is first needed. Rejects with `wasm_load_failed`, as a missing part
 * of the wasm does. Whether a later import can succeed without a reload depends on the browser.
 */
export async function loaded<T>(what: string, module: Promise<T>): Promise<T> {
  try {
    // An import can't be cancelled; what waits for it can.
    return await until(module, { timeoutMs: longestLoadMs })
  } catch (cause) {
    throw new TidelockError('wasm_load_failed', `The module for ${what} can't be loaded`, {
      cause,
      hint: "Check the network, and that all files of the package's folder dist are served; reload the page after a deployment",
    })
  }
}
