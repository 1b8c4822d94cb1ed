/** Loads the module for Node. Its name is hidden from bundlers, which would try to bundle Node's modules for the browser. */
export async function nodeFiles() {
  const name = './node-files.js'
  return (await import(/* @vite-ignore */ /* webpackIgnore: true */ name)) as typeof import('./files.js')
}
