import { TidelockError } from './errors.js'

/**
 * A module of this package that is loaded when it is first needed, by `import`. Rejects with `wasm_load_failed`, as a part of the wasm
 * does that doesn't come; the browser then decides whether it can be tried again without a reload.
 */
export async function loaded<T>(what: string, module: Promise<T>): Promise<T> {
  try {
    return await module
  } catch (cause) {
    throw new TidelockError('wasm_load_failed', `The module for ${what} can't be loaded`, {
      cause,
      hint: "Check that all files of the package's folder dist are served; reload the page after a deployment",
    })
  }
}
