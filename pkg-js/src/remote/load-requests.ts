import { loaded } from '../base/lazy-module.js'

/** Loads what sends requests, a module of its own, because a database without a remote sends none. Rejects with `wasm_load_failed`. */
export function requests() {
  return loaded('requests', import('./request.js'))
}
