import { loaded } from '../base/lazy-module.js'

/** Loads the checks of rarely used options, a module that is loaded only for them. Rejects with `wasm_load_failed`. */
export function lazyOptions() {
  return loaded('remote, audit and expires', import('./lazy-options.js'))
}
