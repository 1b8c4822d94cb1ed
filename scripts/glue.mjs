// Makes wasm-bindgen's glue smaller, which each page downloads: the imports become a list in the order of their short names, and what every
// supported engine has isn't looked for.

/** Replaces the only match of a pattern. Throws for any other number of matches: another version of wasm-bindgen may write other glue. */
export function replaceOnce(text, pattern, replacement) {
  const found = text.match(new RegExp(pattern, 'g'))?.length ?? 0
  if (found !== 1)
    throw new Error(`The glue has ${pattern} ${found} times instead of once: adapt scripts/glue.mjs and instance.mjs`)
  return text.replace(pattern, replacement)
}

/** An import: its name, and either its parameters, or those of the function whose errors the glue hands to wasm; and the function's body. */
const imported =
  /^ {8}(\w+): function\((?:\) \{ return handleError\(function \(([^)]*)|([^)]*))\) \{\n([\s\S]*?)^ {8}\}(?:, arguments\); \})?,$/gm

/** Returns the glue with the functions of its object of imports as the argument of `named`, in the order of `names`, by their long names. */
export function compactGlue(glue, names) {
  const order = Object.keys(names)
  const functions = new Map()
  let compact = replaceOnce(glue, /const import0 = \{\n\s*__proto__: null,\n([\s\S]*?)\n {4}\};/, (_, list) => {
    const rest = list.replace(imported, (_, name, handled, parameters, body) => {
      functions.set(name, handled === undefined ? `(${parameters}) => {${body}}` : `handled((${handled}) => {${body}})`)
      return ''
    })
    if (rest.trim() !== '' || functions.size !== order.length)
      throw new Error(`The glue has imports of an unexpected form: adapt scripts/glue.mjs\n${rest.trim()}`)
    return `const import0 = named([\n${order.map((name) => functions.get(name)).join(',\n')}\n])`
  })
  compact = replaceOnce(
    compact,
    /function handleError\(f, args\) \{\n\s*try \{\n\s*return f\.apply\(this, args\);([\s\S]*?)\n\}/,
    'const handled = (call) => (...args) => {\ntry { return call(...args) $1\n};',
  )
  compact = compact.replace(/\(typeof FinalizationRegistry === 'undefined'\)\s*\? \{[^\n]*\}\s*: (?=new)/g, '')
  compact = replaceOnce(compact, /if \(!\('encodeInto' in cachedTextEncoder\)\) \{[\s\S]*?\n\}/, '')
  // Nothing frees an instance: it ends with its page or worker, or is collected.
  compact = replaceOnce(compact, / {4}__destroy_into_raw\(\) \{[\s\S]*?\n {4}\}\n {4}free\(\) \{[\s\S]*?\n {4}\}\n/, '')
  compact = replaceOnce(compact, /if \(Symbol\.dispose\) .*\n/, '')
  compact = replaceOnce(compact, /wasmInstance = instance;/, '')
  compact = replaceOnce(compact, /wasmModule = module;/, '')
  // Every string is allocated in the same way.
  compact = replaceOnce(
    compact,
    /function passStringToWasm0\(arg, malloc, realloc\) \{\s*if \(realloc === undefined\) \{[\s\S]*?\n {4}\}/,
    'function passStringToWasm0(arg) {',
  )
  const [body] = compact.match(/function passStringToWasm0[\s\S]*?\n\}/)
  compact = compact.replace(
    body,
    body.replace(/\bmalloc\(/g, 'wasm.__wbindgen_malloc(').replace(/\brealloc\(/g, 'wasm.__wbindgen_realloc('),
  )
  return compact.replaceAll(', wasm.__wbindgen_malloc, wasm.__wbindgen_realloc)', ')')
}
