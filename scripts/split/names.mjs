// Short names for what the wasm imports from the glue and exports to it: wasm-bindgen's are long, and hashes don't compress.

/** Exports that the glue calls by itself, from timers, promise reactions and finalizers, where nobody could catch an error. */
const unattended =
  /^wasm_bindgen_|12wasm_bindgen7convert8closures|^__wbindgen_destroy_closure$|^__wbindgen_free$|^__wbg_.*_free$/
/** What others than the glue call. */
const kept = new Set(['memory'])

const letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'
const word = (n) => (n < 52 ? letters[n] : word(Math.floor(n / 52) - 1) + letters[n % 52])

/** The short names by the long ones, of `imports` and `exports` each; those of unattended exports begin with `_`, for scripts/guard.js. */
export function shortNames(module) {
  const imports = module.imports.map(({ import: name }, index) => [name, word(index)])
  const exports = module.exports
    .filter(({ name }) => !kept.has(name))
    .map(({ name }, index) => [name, (unattended.test(name) ? '_' : '') + word(index)])
  return { imports: Object.fromEntries(imports), exports: Object.fromEntries(exports) }
}
