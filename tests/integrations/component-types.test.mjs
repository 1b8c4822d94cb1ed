// The types of the subpaths for React, Vue and Svelte, and the code of their documents.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { copyFile, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { parse } from 'vue/compiler-sfc'
import { bundle } from './components/bundle.mjs'
import { documentsFolder, filesOf, writeDocument } from './components/documents.mjs'

const here = fileURLToPath(new URL('.', import.meta.url))
const FRAMEWORKS = ['react', 'next', 'vue', 'svelte']
let folder
before(async () => {
  folder = await documentsFolder()
  for (const name of FRAMEWORKS) await writeDocument(name, folder)
})
after(() => rm(folder, { recursive: true, force: true }))

for (const name of FRAMEWORKS)
  test(`every block of the documents of ${name} can be bundled`, async () => {
    const files = await filesOf(name)
    assert.ok(files.length >= (name === 'next' ? 2 : 4))
    for (const { file } of files) if (!file.endsWith('.sql')) await bundle(path.join(folder, name, file))
  })

test('the types accept the blocks of the documents and what the subpaths promise, and refuse the rest', async () => {
  await copyFile(path.join(here, 'components/types.tsx'), path.join(folder, 'types.tsx'))
  for (const { file, code } of await filesOf('vue')) {
    if (!file.endsWith('.vue')) continue
    const { content } = parse(code).descriptor.scriptSetup
    await writeFile(path.join(folder, `vue/${file}.ts`), `${content}\nexport default {}`)
  }
  await writeFile(
    path.join(folder, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: {
        strict: true,
        noEmit: true,
        allowImportingTsExtensions: true,
        skipLibCheck: true,
        target: 'ES2022',
        module: 'ESNext',
        moduleResolution: 'Bundler',
        jsx: 'react-jsx',
        lib: ['ES2022', 'ESNext.Disposable', 'DOM', 'DOM.Iterable', 'DOM.AsyncIterable'],
        types: ['vite/client'],
      },
      include: ['**/*.ts', '**/*.tsx'],
    }),
  )
  const tsc = path.join(here, '../../node_modules/.bin/tsc')
  await promisify(execFile)(tsc, ['-p', folder]).catch(({ stdout }) => assert.fail(stdout))
})

test('the module for React is marked for the client', async () => {
  const text = await readFile(path.join(here, '../../pkg-js/dist/integrations/react/index.js'), 'utf8')
  assert.match(text, /^["']use client["']/)
})
