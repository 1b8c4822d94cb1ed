// The page of each error code: its section of docs/errors.md, and the messages that the tests have recorded for it.
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { root, textOf } from './pages.mjs'

const GOLDEN = 'tests/messages/golden'
/** Some codes have hundreds of messages: the page shows the first ones of these, each with another hint. */
const MOST_MESSAGES = 40
/** Shorter ones are of functions in tests. */
const LEAST_LENGTH = 12

/** The codes of docs/errors.md → `{ code, group, intro, cause, example, wayOut }`, texts in Markdown. */
export function errorCodes() {
  return textOf('docs/errors.md')
    .split(/^## /m)
    .slice(1)
    .flatMap((part) => {
      const [head, ...sections] = part.split(/^### /m)
      const [group, ...intro] = head.split('\n')
      return sections.map((section) => {
        const [, code, cause, example, wayOut] =
          /^(\w+)\n\n- \*\*Cause:\*\* ([\s\S]+?)\n- \*\*Example:\*\* ([\s\S]+?)\n- \*\*Way out:\*\* ([\s\S]+)$/.exec(
            section,
          )
        return { code, group, intro: intro.join('\n').trim(), cause, example, wayOut: wayOut.trim() }
      })
    })
}

/** The messages that tests have recorded, by code: `{ message, hint }`, each message once. */
export function recordedMessages() {
  const files = readdirSync(path.join(root, GOLDEN), { recursive: true }).filter((file) => file.endsWith('.txt'))
  const found = new Map()
  for (const file of files.toSorted())
    for (const block of textOf(`${GOLDEN}/${file}`).split(/\n{2,}/)) {
      const [, code, message] = /^(\w+): (.+)$/m.exec(block.replace(/^#.*\n/gm, '')) ?? []
      if (code === undefined) continue
      const hint = /^ {2}hint: (.+)$/m.exec(block)?.[1]
      const known = found.get(code) ?? new Map()
      if (!known.has(message)) known.set(message, { message, hint })
      found.set(code, known)
    }
  return new Map([...found].map(([code, known]) => [code, [...known.values()]]))
}

const retryable = new Set(
  [...textOf('pkg-js/src/base/errors.ts').matchAll(/^ {2}(\w+): true,$/gm)].map(([, code]) => code),
)

/** Returns the page of a code. Links are those of docs/errors.md. */
export function errorPage({ code, group, intro, cause, example, wayOut }, messages = []) {
  const seen = new Set()
  const shown = messages
    .filter(({ message, hint = message }) => message.length >= LEAST_LENGTH && !seen.has(hint) && seen.add(hint))
    .slice(0, MOST_MESSAGES)
    .map(({ message, hint }) => `- ${verbatim(message)}${hint === undefined ? '' : `<br>${verbatim(hint)}`}`)
  const recorded = [
    '## Messages',
    '',
    'What the tests have seen, each with its hint. Names stand in place of yours.',
    '',
    ...shown,
    '',
  ]
  return [
    `# ${code}`,
    '',
    `[Error codes](errors.md): ${group}. ${retryable.has(code) ? 'The same call may succeed later: `retryable` is true.' : 'The same call fails again: change something first.'}`,
    '',
    `**Cause:** ${cause}`,
    '',
    `**Example:** ${example}`,
    '',
    `**Way out:** ${wayOut}`,
    '',
    ...(intro === '' ? [] : [intro, '']),
    '```ts',
    `if (isTidelockError(error, '${code}')) {`,
    '  console.log(error.message, error.hint, error.details)',
    '}',
    '```',
    '',
    ...(shown.length === 0 ? [] : recorded),
  ].join('\n')
}

/** Returns a text as code: names in angle brackets and marks of Markdown stay as they are. */
function verbatim(text) {
  const ticks = '`'.repeat(1 + Math.max(0, ...(text.match(/`+/g) ?? []).map(({ length }) => length)))
  const space = text.startsWith('`') || text.endsWith('`') ? ' ' : ''
  return `${ticks}${space}${text}${space}${ticks}`
}
