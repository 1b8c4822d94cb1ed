// Finds the code blocks of README.md and docs/, and runs one in Node unchanged.
import { readdirSync } from 'node:fs'
import { textOf } from '../../../scripts/docs/pages.mjs'

export { textOf }

const root = new URL('../../../', import.meta.url)
const CODE = ['ts', 'js', 'sh']

/** README.md and the files of docs/. */
function documents() {
  const docs = readdirSync(urlOf('docs/')).filter((file) => file.endsWith('.md'))
  return ['README.md', ...docs.map((file) => `docs/${file}`)]
}

export const urlOf = (file) => new URL(file, root)

/**
 * Returns every code block of the documents → `{ id, language, code }`. The id is the file and the heading, with a number from the second
 * block under a heading on: `docs/runbook.md: Restore (2)`.
 */
export const blocksOfDocuments = () => documents().flatMap((file) => blocksOf(file, textOf(file)))

/** Returns the error codes that the types of the package have. */
export function declaredErrorCodes() {
  const union = /export type ErrorCode =\n((?: {2}\| '\w+'\n)+)/.exec(textOf('pkg-js/src/base/generated-types.ts'))[1]
  return Array.from(union.matchAll(/'(\w+)'/g), ([, code]) => code)
}

/** Returns the blocks of one document. */
export function blocksOf(file, text) {
  const blocks = []
  const counts = new Map()
  let heading = ''
  let open
  for (const line of text.split('\n')) {
    const fence = /^\s*```(\S*)/.exec(line)
    if (open !== undefined) {
      if (fence === null) open.code += `${line}\n`
      else open = undefined
    } else if (fence !== null) {
      open = { language: fence[1], code: '' }
      if (!CODE.includes(open.language)) continue
      const count = (counts.get(heading) ?? 0) + 1
      counts.set(heading, count)
      blocks.push(Object.assign(open, { id: `${file}: ${heading}${count === 1 ? '' : ` (${count})`}` }))
    } else heading = /^#+ (.*)/.exec(line)?.[1] ?? heading
  }
  return blocks
}

const AsyncFunction = (async () => {}).constructor

/**
 * Runs a block with these names in scope → the values of the names in `results` at its end. Does what a bundler and the reader would do:
 * resolves the imports, and fills in the placeholders.
 */
export function runBlock(code, fillIn, scope, results) {
  const body = Object.entries(fillIn)
    .reduce((text, [blank, value]) => text.replaceAll(blank, value), code)
    .replace(/^import \{[^}]*\} from 'tidelock'$/gm, '')
    .replace(/^import (\{[^}]*\}) from ('node:\w+')$/gm, 'const $1 = await import($2)')
  if (/<[a-z -]+>/i.test(body.replace(/\/\/.*/g, ''))) throw new Error('The block has a blank that nothing fills in')
  // In a block of its own, the code may redeclare names in scope.
  const run = new AsyncFunction(...Object.keys(scope), `{ ${body}\nreturn { ${results.join(', ')} } }`)
  return run(...Object.values(scope))
}
