// Runs the TypeScript blocks of a document about a subpath.

import { transform } from 'esbuild'
import { blocksOf, textOf } from '../node/documents/blocks.mjs'

const AsyncFunction = (async () => {}).constructor

/** Returns the blocks of a document that are TypeScript: `{ id, run(modules, scope) }`. `modules` are what the block may import, by name. */
export const documentBlocks = (file) =>
  blocksOf(file, textOf(file))
    .filter(({ language }) => language === 'ts')
    .map(({ id, code }) => ({ id, run: (modules, scope = {}) => runBlock(code, modules, scope) }))

async function runBlock(source, modules, scope) {
  const { code } = await transform(source, { loader: 'ts' })
  const body = code.replace(
    /^import (\{[^}]*\}) from "([^"]*)";$/gm,
    (_, names, module) => `const ${names.replaceAll(' as ', ': ')} = modules[${JSON.stringify(module)}]`,
  )
  const run = new AsyncFunction('modules', ...Object.keys(scope), `{ ${body} }`)
  return run(modules, ...Object.values(scope))
}
