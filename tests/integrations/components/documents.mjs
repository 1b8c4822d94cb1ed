// The code of docs/react.md, docs/vue.md and docs/svelte.md, and of the starts with each framework and Next: each block is a file, named in
// its first line.
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../../', import.meta.url))

/** How an app of each framework starts. That of Vue is in its document; that of React needs Vite, see tests/packaging/quickstart.test.mjs. */
const STARTS = {
  vue: { file: 'main.ts' },
  svelte: {
    file: 'start.js',
    code: "import { mount } from 'svelte'; import App from './App.svelte'; mount(App, { target: document.querySelector('#app') })",
  },
}

/** The files of a document: their names and their code. */
export async function filesOf(name) {
  const documents = name === 'next' ? ['start-next'] : [`start-${name}`, name]
  const texts = await Promise.all(documents.map((each) => readFile(path.join(root, `docs/${each}.md`), 'utf8')))
  const blocks = texts.flatMap((text) => [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)])
  return blocks.flatMap(([, language, code]) => {
    if (language === 'sh') return []
    const file = /^(?:\/\/|--|<!--) ([\w./]+\.(\w+))/.exec(code)
    if (file?.[2] !== language) throw new Error(`docs of ${name}: a block of ${language} doesn't begin with its name`)
    return { file: file[1], language, code }
  })
}

/** Makes a folder from which the frameworks and the package are found. */
export async function documentsFolder() {
  await mkdir(path.join(root, '.cache'), { recursive: true })
  return mkdtemp(path.join(root, '.cache/documents-'))
}

/** Writes the files of a document into a folder of its own → the path of the file that starts its app, where it can start without a server. */
export async function writeDocument(name, folder) {
  const own = path.join(folder, name)
  const start = STARTS[name]
  for (const { file, code } of [...(await filesOf(name)), ...(start === undefined ? [] : [start])]) {
    if (code === undefined) continue
    await mkdir(path.dirname(path.join(own, file)), { recursive: true })
    await writeFile(path.join(own, file), code)
  }
  return start && path.join(own, start.file)
}
