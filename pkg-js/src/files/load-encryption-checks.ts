import { loaded } from '../base/lazy-module.js'

/** Loads the checks of passphrases and keys, a module that is loaded only for what is encrypted. Rejects with `wasm_load_failed`. */
export function encryptionChecks() {
  return loaded('encryption', import('./check-encryption.js'))
}
