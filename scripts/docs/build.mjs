// node scripts/docs/build.mjs [--base /path/] [--rust]: builds the site of the documents into .cache/docs/site, from the built package. Fails
// at a link to a page or a heading that isn't there. `--base`: the path below which the site is served, `/` by default. `--rust`: with the
// documents of the crate, which `cargo doc` has made in target/doc.
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { checkSite } from './check.mjs'
import { errorCodes, errorPage, recordedMessages } from './errors.mjs'
import { playgroundExamples } from './examples.mjs'
import { llms, llmsFull } from './llms.mjs'
import { groups, pageOf, pages, relinked, root, textOf } from './pages.mjs'

const { base, rust } = parseArgs({
  options: { base: { type: 'string', default: '/' }, rust: { type: 'boolean', default: false } },
}).values
if (!/^\/(.*\/)?$/.test(base)) throw new Error(`--base must begin and end with a slash: ${base}`)

const here = import.meta.dirname
const source = path.join(root, '.cache/docs/source')
const site = path.join(root, '.cache/docs/site')
const built = path.join(root, 'pkg-js/dist')

rmSync(source, { recursive: true, force: true })
rmSync(site, { recursive: true, force: true })
mkdirSync(path.join(source, 'public'), { recursive: true })
// VitePress and its theme find their modules from here.
symlinkSync(path.join(here, 'node_modules'), path.join(source, 'node_modules'))

/** The pages about the inside, and those of the project. */
const internals = readdirSync(path.join(root, 'docs/internals')).map((name) => pageOf(`docs/internals/${name}`))
const project = ['CHANGELOG.md', 'SECURITY.md', 'ARCHITECTURE.md'].map(pageOf)

const places = new Map([...pages, ...internals].map(({ file }) => [file, file.replace('docs/', '')]))
for (const { file } of project) places.set(file, `project/${file.toLowerCase()}`)
const images = ['overview.svg', 'benchmark.svg', 'inspector.png']
for (const name of [...images, 'playground.md']) places.set(`docs/${name}`, name)
const placeOf = (file) => places.get(file)

function write(place, text) {
  mkdirSync(path.dirname(path.join(source, place)), { recursive: true })
  writeFileSync(path.join(source, place), text)
}

const examples = playgroundExamples()
const all = [...pages, ...internals, ...project]
/** Pages whose tables need the place of the outline. */
const wide = new Set(
  ['reference/options', 'reference/methods', 'comparison', 'performance', 'bundlers'].map((name) => `docs/${name}.md`),
)
for (const { file, text } of all)
  write(
    placeOf(file),
    (wide.has(file) ? '---\naside: false\n---\n\n' : '') +
      relinked(titled(file, withRunLinks(file, text)), file, placeOf(file), placeOf),
  )

/** Adds a link to the playground below each block that it has. */
function withRunLinks(file, text) {
  return examples.reduce((whole, { key, id }) => {
    const block = id.startsWith(`${file}: `) && blockAt(whole, id.slice(file.length + 2))
    return block ? whole.replace(block, () => `${block}\n[Run it in the playground](playground.md#${key})\n`) : whole
  }, text)
}

/** Names pages by their titles where a link names the file, as readers of the repository need it. */
function titled(file, text) {
  return text.replace(/\[(?:[\w-]+\/)*([\w-]+\.md)\]\(([^)#]+)(#[^)]*)?\)/g, (whole, name, target, anchor = '') => {
    const page = all.find((each) => each.file === path.posix.join(path.posix.dirname(file), target))
    return page && target.endsWith(name) ? `[${page.title}](${target}${anchor})` : whole
  })
}

/** The first block of code below a heading, with its fences. */
function blockAt(text, heading) {
  const section = text.slice(text.search(new RegExp(`^#+ ${heading.replace(/[()`]/g, '\\$&')}$`, 'm')))
  return /^```(?:ts|js)\n[\s\S]*?^```\n/m.exec(section)?.[0]
}

// The errors.
const messages = recordedMessages()
const codes = errorCodes()
write('playground.md', textOf('scripts/docs/playground.md'))
write('index.md', textOf('scripts/docs/home.md'))
write('hero.md', textOf('README.md').match(/^```sh\n[\s\S]*?^```\n\n```ts\n[\s\S]*?^```\n/m)[0])
for (const each of codes) {
  const place = `errors/${each.code}.md`
  write(place, relinked(errorPage(each, messages.get(each.code)), 'docs/errors.md', place, placeOf))
}

// The reference of the package, from its declarations.
const entries = Object.entries(JSON.parse(textOf('pkg-js/package.json')).exports).flatMap(([subpath, { types }]) =>
  types && subpath !== './worker.js' ? [[subpath, path.join(root, 'pkg-js', types)]] : [],
)
const declared = entries.filter(([, types]) => existsSync(types))
execFileSync(
  process.execPath,
  [
    path.join(here, 'node_modules/typedoc/bin/typedoc'),
    ...['--options', path.join(here, 'typedoc.json')],
    ...['--tsconfig', path.join(here, 'tsconfig.json')],
    ...['--out', path.join(source, 'api')],
    ...declared.flatMap(([, types]) => ['--entryPoints', types]),
  ],
  { cwd: here, stdio: ['ignore', 'ignore', 'inherit'] },
)

// TypeDoc calls an entry by its file; users import it by its subpath.
for (const file of readdirSync(path.join(source, 'api'), { recursive: true }).filter((name) => name.endsWith('.md'))) {
  const place = `api/${file}`
  const text = readFileSync(path.join(source, place), 'utf8')
  write(
    place,
    text.replace(
      /(^# |\[)(?:integrations(\/[\w-]+)|index)(?=$|\])/gm,
      (_, before, subpath = '') => `${before}tidelock${subpath}`,
    ),
  )
}

// What programs read, and what the playground loads.
const addressOf = (file) => `${base}${placeOf(file).replace(/\.md$/, '.html')}`
write('public/llms.txt', llms(addressOf))
write('public/llms-full.txt', llmsFull())
for (const image of images) cpSync(path.join(root, 'docs', image), path.join(source, image))
cpSync(built, path.join(source, 'public/package'), {
  recursive: true,
  filter: (file) => !/\.(map|d\.ts)$|[/]cli$/.test(file),
})
const rustPages = path.join(root, 'target/doc')
const hasRust = rust && existsSync(rustPages)
if (hasRust) cpSync(rustPages, path.join(source, 'public/rust'), { recursive: true })

// The site itself.
const item = ({ file, title }) => ({ text: title, link: `/${placeOf(file).replace(/\.md$/, '')}` })
const sidebar = [
  ...groups.map(({ group, pages }) => ({ text: group, collapsed: false, items: pages.map(item) })),
  {
    text: 'API',
    collapsed: true,
    items: [
      { text: 'All modules', link: '/api/' },
      ...declared.map(([subpath]) => ({
        text: path.posix.join('tidelock', subpath),
        link: `/api/${moduleOf(subpath)}/`,
      })),
    ],
  },
  {
    text: 'Error codes',
    collapsed: true,
    items: codes.map(({ code }) => ({ text: code, link: `/errors/${code}` })),
  },
  { text: 'Inside', collapsed: true, items: [...internals, ...project].map(item) },
]
/** The folder of an entry in the reference. */
function moduleOf(subpath) {
  return subpath === '.' ? 'index' : subpath.replace('./', 'integrations/')
}
cpSync(path.join(here, 'theme'), path.join(source, '.vitepress/theme'), { recursive: true })
cpSync(path.join(here, 'config.mjs'), path.join(source, '.vitepress/config.mjs'))
write('.vitepress/site.json', JSON.stringify({ base, sidebar, rust: hasRust }))
write('.vitepress/theme/examples.json', JSON.stringify(examples))

execFileSync(
  process.execPath,
  [path.join(here, 'node_modules/vitepress/bin/vitepress.js'), 'build', source, '--outDir', site],
  { cwd: source, stdio: ['ignore', 'inherit', 'inherit'] },
)
const { pages: count, links } = checkSite(site, base)
console.log(`${count} pages with ${links} links that lead somewhere, in ${path.relative(root, site)}`)
