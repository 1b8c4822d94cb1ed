// node scripts/package-documents.mjs: copies the documents for users into pkg-js, so that they can be read from the tarball, and writes
// llms.txt, llms-full.txt and AGENTS.md from them. A link to a file that the tarball doesn't have becomes one to the repository.

import { copyFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { agents, llms, llmsFull } from './docs/llms.mjs'
import { relinked, root, textOf } from './docs/pages.mjs'

const folder = path.join(root, 'pkg-js')
const filesIn = (name) =>
  readdirSync(path.join(root, name))
    .filter((file) => /\.(md|svg|png)$/.test(file))
    .map((file) => `${name}/${file}`)
const licences = readdirSync(root).filter((file) => file.startsWith('LICENSE'))
const documents = [...filesIn('docs'), ...filesIn('docs/reference')]
const files = ['README.md', 'CHANGELOG.md', 'SECURITY.md', ...licences, ...documents]
const placeOf = (file) => (files.includes(file) ? file : undefined)

rmSync(path.join(folder, 'docs'), { recursive: true, force: true })
mkdirSync(path.join(folder, 'docs/reference'), { recursive: true })
for (const file of files) {
  const [from, to] = [root, folder].map((base) => path.join(base, file))
  if (file.endsWith('.md')) writeFileSync(to, relinked(textOf(file), file, file, placeOf))
  else copyFileSync(from, to)
}
writeFileSync(path.join(folder, 'llms.txt'), llms(placeOf))
writeFileSync(path.join(folder, 'llms-full.txt'), llmsFull())
writeFileSync(path.join(folder, 'AGENTS.md'), agents(placeOf))
