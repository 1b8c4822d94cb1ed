// The pages of the documents for users, in the order of the site's sidebar: the one list of them, for the site, llms.txt and the tarball.
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'

export const root = path.join(import.meta.dirname, '../..')
export const { homepage, version } = JSON.parse(readFileSync(path.join(root, 'pkg-js/package.json'), 'utf8'))
export const repository = homepage.replace(/#.*/, '')

/** The longest summary that has more than one sentence. */
const LONG = 140

const GROUPS = {
  Start: 'quickstart start-vite start-react start-next start-vue start-svelte start-browser start-node rust',
  Concepts: 'concepts durability comparison performance',
  Guides: `offline supabase sync push tabs live migrations runbook encryption files operations inspector testing deployment
    moving`,
  Integrations: 'react vue svelte kysely drizzle tanstack-db',
  Reference: 'reference/options reference/methods errors troubleshooting command-line browsers bundlers limits agents',
}

/** The pages by group: `{ group, pages: [{ file, title, summary, text }] }`. `file` is the path in the repository. */
export const groups = Object.entries(GROUPS).map(([group, names]) => ({
  group,
  pages: names
    .split(/\s+/)
    .map((name) => `docs/${name}.md`)
    .filter((file) => existsSync(path.join(root, file)))
    .map(pageOf),
}))

/** All pages, in their order. */
export const pages = groups.flatMap(({ pages }) => pages)

export function textOf(file) {
  return readFileSync(path.join(root, file), 'utf8')
}

/** A page with its title, and the first sentences of its prose as a summary. */
export function pageOf(file) {
  const text = textOf(file)
  const [, title] = /^# (.+)$/m.exec(text)
  const prose = text.replace(/^```[\s\S]*?^```$/gm, '').replace(/^[#|<].*$/gm, '')
  const [first = ''] = prose.split(/\n{2,}/).filter((paragraph) => paragraph.trim() !== '')
  const plain = first
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replace(/\s+/g, ' ')
    .trim()
  const [sentence, ...sentences] = plain.replace(/:$/, '.').split(/(?<=\.) /)
  const summary = sentences.reduce((all, next) => (all.length + next.length < LONG ? `${all} ${next}` : all), sentence)
  return { file, title, summary, text }
}

/**
 * Returns a document that moved from `file` to `place`, with its links corrected. `placeOf(file)` is the new place of a file of the
 * repository. A link to a file without one becomes a link to the repository.
 */
export function relinked(text, file, place, placeOf) {
  return text.replace(/\]\(([^)#:\s]+)(#[^)]*)?\)/g, (_, target, anchor = '') => {
    const wanted = path.posix.join(path.posix.dirname(file), target)
    const found = placeOf(wanted)
    const address = found ? path.posix.relative(path.posix.dirname(place), found) : `${repository}/blob/main/${wanted}`
    return `](${address}${anchor})`
  })
}
