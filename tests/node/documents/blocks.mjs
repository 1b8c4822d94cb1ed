// The code blocks of README.md and docs/, and how one is run in Node as it stands there.
import { readdirSync, readFileSync } from 'node:fs'

const root = new URL('../../../', import.meta.url)
const CODE = ['ts', 'js', 'sh']

/** README.md and the files of docs/. */
function documents() {
  const docs = readdirSync(urlOf('docs/')).filter((file) => file.endsWith('.md'))
  return ['README.md', ...docs.map((file) => `docs/${file}`)]
}

export const urlOf = (file) => new URL(file, root)
export const textOf = (file) => readFileSync(urlOf(file), 'utf8')

/**
 * Every block of code of the documents → `{ id, language, code }`. The id is the file, the heading that it is under, and from the second
 * one under a heading on its number: `docs/runbook.md: Restore (2)`.
 */
export const blocksOfDocuments = () => documents().flatMap((file) => blocksOf(file, textOf(file)))

/** The blocks of one document. */
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
 * Runs a block with these names in scope → what the names in `results` are at its end. The two things that a bundler would do are done:
 * the imports are given their place, and what the reader has to fill in is filled in.
 */
export function runBlock(code, fillIn, scope, results) {
  const body = Object.entries(fillIn)
    .reduce((text, [blank, value]) => text.replaceAll(blank, value), code)
    .replace(/^import \{[^}]*\} from 'tidelock'$/gm, '')
    .replace(/^import (\{[^}]*\}) from ('node:\w+')$/gm, 'const $1 = await import($2)')
  if (/<[a-z -]+>/i.test(body.replace(/\/\/.*/g, ''))) throw new Error('The block has a blank that nothing fills in')
  // In braces of its own, it may declare names that it is given, too.
  const run = new AsyncFunction(...Object.keys(scope), `{ ${body}\nreturn { ${results.join(', ')} } }`)
  return run(...Object.values(scope))
}
