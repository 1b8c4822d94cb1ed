// node scripts/package-documents.mjs: copies the documents for users into pkg-js, so that they can be read from the tarball. A link to a file
// that the tarball doesn't have becomes one to the repository.

import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'

const root = path.join(import.meta.dirname, '..')
const folder = path.join(root, 'pkg-js')
const { homepage } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'))
const repository = homepage.replace(/#.*/, '')

const docs = readdirSync(path.join(root, 'docs')).filter((file) => /\.(md|svg)$/.test(file))
const licences = readdirSync(root).filter((file) => file.startsWith('LICENSE'))
const files = ['README.md', 'CHANGELOG.md', 'SECURITY.md', ...licences, ...docs.map((file) => `docs/${file}`)]

rmSync(path.join(folder, 'docs'), { recursive: true, force: true })
mkdirSync(path.join(folder, 'docs'))
for (const file of files) {
  const [from, to] = [root, folder].map((base) => path.join(base, file))
  if (file.endsWith('.md')) writeFileSync(to, linked(file, readFileSync(from, 'utf8')))
  else copyFileSync(from, to)
}

/** Returns a document whose links to files outside of the tarball lead to the repository. */
function linked(file, text) {
  return text.replace(/\]\(([^)#:\s]+)(#[^)]*)?\)/g, (whole, target, anchor = '') => {
    const name = path.posix.join(path.posix.dirname(file), target)
    return files.includes(name) ? whole : `](${repository}/blob/main/${name}${anchor})`
  })
}
