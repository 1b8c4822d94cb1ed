// Short names for the imports and exports between wasm and glue: wasm-bindgen's names are long, and hashes don't compress.

/** Exports that the glue calls from timers, promise reactions and finalizers, where no caller could catch an error. */
const unattended =
  /^wasm_bindgen_|12wasm_bindgen7convert8closures|^__wbindgen_destroy_closure$|^__wbindgen_free$|^__wbg_.*_free$/
/** Exports with other callers than the glue. */
const kept = new Set(['memory'])

const letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'
/** Returns the nth of the shortest names. */
export const word = (n) => (n < 52 ? letters[n] : word(Math.floor(n / 52) - 1) + letters[n % 52])

/** Returns the short names by long name, of `imports` and `exports`; those of unattended exports begin with `_`, for scripts/guard.js. */
export function shortNames(module) {
  const imports = module.imports.map(({ import: name }, index) => [name, word(index)])
  const exports = module.exports
    .filter(({ name }) => !kept.has(name))
    .map(({ name }, index) => [name, (unattended.test(name) ? '_' : '') + word(index)])
  return { imports: Object.fromEntries(imports), exports: Object.fromEntries(exports) }
}
