// The bundlers and pages that the default run of the tests drives; tests/bundlers has the others.
import assert from 'node:assert/strict'
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { here, pageOf, run, target, visitor } from '../bundlers/harness.mjs'
import { compareRows } from '../bundlers/targets.mjs'
import { serve } from '../e2e/serve.mjs'

const visit = visitor()
const modules = './node_modules'
const vite = { vite: `${modules}/vite8` }
const esbuild = { esbuild: '../../node_modules/esbuild' }
const vitePath = 'node_modules/vite/bin/vite.js'

const indexOf = (page) => ({ files: { '/index.html': page } })

for (const [heading, file] of [
  ['esbuild', 'esbuild/build.js'],
  ['Vite', 'vite/vite.config.js'],
  ['Rollup', 'rollup/rollup.config.js'],
  ['Offline', 'service-worker/sw.js'],
])
  test(`the document of ${heading}: the code is what the tests build with`, () => {
    assert.equal(blockIn('js', heading), readFileSync(here(file), 'utf8'))
  })

target('Vite 8', { tools: vite }, async (folder) => {
  await run(folder, process.execPath, [vitePath, 'build'])
  await visit.folders({ '/': `${folder}/dist` })
  await visit.server(folder, process.execPath, [vitePath, '--port', '0', '--host', '127.0.0.1'])
  // A worker of the app that imports the package needs the plugin.
  for (const part of ['vite', 'own-worker']) cpSync(here(part), folder, { recursive: true })
  await run(folder, process.execPath, [vitePath, 'build'])
  await visit.folders({ '/': `${folder}/dist` })
})

target('esbuild', { tools: esbuild, parts: ['esbuild'] }, async (folder) => {
  await run(folder, process.execPath, ['build.js'])
  await visit.folders({ '/': `${folder}/dist` }, indexOf(pageOf('main.js')))
  await run(folder, process.execPath, ['variants.js'])
  await visit.folders({ '/': `${folder}/split` }, indexOf(pageOf('pages/main.js')))
  await visit.folders({ '/': `${folder}/script` }, indexOf(pageOf('in-a-folder/main.js', 'defer')))
})

target('Strict CSP with Trusted Types', { tools: esbuild, parts: ['esbuild'] }, async (folder) => {
  await run(folder, process.execPath, ['build.js'])
  writeFileSync(`${folder}/dist/index.html`, pageOf('main.js'))
  const policy = policyOf('Content-Security-Policy')
  await visit.folders({ '/': `${folder}/dist` }, { headersOf: () => ({ 'content-security-policy': policy }) })
})

target('Import map, no bundler', {}, async (folder) => {
  writeFileSync(`${folder}/index.html`, pageOf('main.js', 'type="module"', blockOf('Without a bundler')))
  await visit.folders({ '/': folder })
})

target('Modules of another origin', { tools: vite }, async (folder) => {
  const headersOf = () => ({ 'access-control-allow-origin': '*' })
  const other = await serve({ folders: { '/built/': `${folder}/dist`, '/': folder }, headersOf })
  try {
    const policy = policyOf('Modules of another origin').replaceAll('https://cdn.example', other.url)
    const meta = `<meta http-equiv="Content-Security-Policy" content="${policy}">`
    const map = blockOf('Modules of another origin').replaceAll('https://cdn.example', `${other.url}/node_modules`)
    const page = pageOf('main.js', 'type="module"', meta + map)
    await visit.folders({ '/': folder }, indexOf(page))
    await run(folder, process.execPath, [vitePath, 'build', '--base', `${other.url}/built/`])
    const built = readFileSync(`${folder}/dist/index.html`, 'utf8').replace('<meta', `${meta}<meta`)
    await visit.folders({}, indexOf(built))
  } finally {
    await other.close()
  }
})

target('A service worker, offline', { tools: vite, parts: ['service-worker'] }, async (folder) => {
  await run(folder, process.execPath, [vitePath, 'build'])
  const dist = `${folder}/dist`
  const files = readdirSync(dist, { recursive: true }).filter((name) => name.includes('.'))
  const list = JSON.stringify(['/', ...files.map((name) => `/${name}`)])
  const worker = readFileSync(`${folder}/sw.js`, 'utf8').replace('files = []', `files = ${list}`)
  writeFileSync(`${dist}/sw.js`, worker)
  const register = "<script>navigator.serviceWorker.register('/sw.js')</script></html>"
  const index = readFileSync(`${dist}/index.html`, 'utf8').replace('</html>', register)
  writeFileSync(`${dist}/index.html`, index)
  await visit.untilOffline(dist)
})

// After those that may write them.
test('the tables of docs/bundlers.md have the rows of the targets', () => compareRows())

/** Returns a block of HTML of docs/bundlers.md or docs/deployment.md, by its heading. */
const blockOf = (heading) => blockIn('html', heading)

/** Returns the policy of a block `Content-Security-Policy: …`, in one line. */
function policyOf(heading) {
  const block = blockIn('http', heading)
  return block.replace('Content-Security-Policy:', '').replaceAll(/\s+/g, ' ').trim()
}

function blockIn(language, heading) {
  const textOf = (name) => readFileSync(new URL(`../../docs/${name}.md`, import.meta.url), 'utf8')
  const section = `${textOf('bundlers')}${textOf('deployment')}`.split(`### ${heading}\n`)[1].split('\n### ')[0]
  return section.match(new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``))[1]
}
