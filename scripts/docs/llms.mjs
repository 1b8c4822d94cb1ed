// What programs read instead of the site: llms.txt (a list of the pages), llms-full.txt (all pages in one), AGENTS.md (rules, and the list).
import { groups, pages, textOf, version } from './pages.mjs'

const [, about] = /^# tidelock\n\n([\s\S]+?)\n\n/.exec(textOf('README.md'))
const [, first] = /(```ts\n[\s\S]+?\n```)/.exec(textOf('README.md'))

/** The list of pages; `linkTo(file)` is the address of one. */
export function llms(linkTo) {
  const lists = groups.map(({ group, pages }) =>
    [`## ${group}`, '', ...pages.map(({ file, title, summary }) => `- [${title}](${linkTo(file)}): ${summary}`)].join(
      '\n',
    ),
  )
  return `# tidelock ${version}\n\n> ${about.replaceAll('\n', ' ')}\n\n${first}\n\n${lists.join('\n\n')}\n`
}

/** All pages in one, each below its path. */
export function llmsFull() {
  return [textOf('README.md'), ...pages.map(({ text }) => text)]
    .map((text) => text.trim())
    .join('\n\n---\n\n')
    .concat('\n')
}

/** The rules for coding agents, and where to read more. */
export function agents(linkTo) {
  const [, rules] = /\n((?:- [\s\S]+?\n)+)$/.exec(textOf('docs/agents.md'))
  const lists = pages.map(({ file, title, summary }) => `- [${title}](${linkTo(file)}): ${summary}`)
  return `# tidelock ${version}: for coding agents\n\n${about}\n\n${first}\n\n## Rules\n\n${rules}\n## Pages\n\n${lists.join('\n')}\n`
}
