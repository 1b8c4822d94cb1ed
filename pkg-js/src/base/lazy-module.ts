import { TidelockError } from './errors.js'
import { until } from './waiting.js'

/** How long a module may take to load: a request that never ends can't be cancelled, but what waits for it can. */
const longestMs = 120_000

/**
 * Resolves with a module of this package that `import()` loads when it is first needed. Rejects with `wasm_load_failed`, as a missing part
 * of the wasm does. Whether a later import can succeed without a reload depends on the browser.
 */
export async function loaded<T>(what: string, module: Promise<T>): Promise<T> {
  try {
    return await until(module, { timeoutMs: longestMs })
  } catch (cause) {
    throw new TidelockError('wasm_load_failed', `The module for ${what} can't be loaded`, {
      cause,
      hint: "Check that all files of the package's folder dist are served; reload the page after a deployment",
    })
  }
}
