// The bundlers that the default run of the tests leaves out, because they take long to install or to build, and other ways of using Vite.
import { cpSync, rmSync } from 'node:fs'
import { test } from 'node:test'
import { here, install, pageOf, run, target, visitor } from './harness.mjs'
import { record } from './targets.mjs'

const visit = visitor()
const vitePath = 'node_modules/vite/bin/vite.js'
const linked = (...names) => Object.fromEntries(names.map((name) => [name, `./more/node_modules/${name}`]))
const indexOf = (page) => ({ files: { '/index.html': page } })

const vite8 = { vite: './node_modules/vite8' }
target('Vite in a monorepo', { tools: vite8, parts: ['vite'], inside: 'apps/shop' }, async (folder) => {
  const program = `../../${vitePath}`
  await run(folder, process.execPath, [program, 'build'])
  await visit.folders({ '/': `${folder}/dist` })
  await visit.server(folder, process.execPath, [program, '--port', '0', '--host', '127.0.0.1'])
})

target('A subpath (`/app/`)', { tools: vite8 }, async (folder) => {
  await run(folder, process.execPath, [vitePath, 'build', '--base', '/app/'])
  await visit.folders({ '/app/': `${folder}/dist` }, {}, '/app/')
})

for (const version of ['6', '7'])
  target(`Vite ${version}`, { tools: { vite: `./more/node_modules/vite${version}` } }, async (folder) => {
    await run(folder, process.execPath, [vitePath, 'build'])
    await visit.folders({ '/': `${folder}/dist` })
    await visit.server(folder, process.execPath, [vitePath, '--port', '0', '--host', '127.0.0.1'])
  })

target('webpack 5', { tools: { webpack: './node_modules/webpack' }, parts: ['webpack'] }, async (folder) => {
  await run(folder, process.execPath, ['build.js'])
  await visit.folders({ '/': `${folder}/dist` }, indexOf(pageOf('main.js', 'defer')))
})

const ofRollup = linked('rollup', '@rollup/plugin-node-resolve', '@web/rollup-plugin-import-meta-assets')
target('Rollup', { tools: ofRollup, parts: ['rollup'] }, async (folder) => {
  await run(folder, process.execPath, ['node_modules/rollup/dist/bin/rollup', '--config'])
  await visit.folders({ '/': `${folder}/dist` }, indexOf(pageOf('main.js')))
})

target('Rspack', { tools: linked('@rspack/core'), parts: ['rspack'] }, async (folder) => {
  await run(folder, process.execPath, ['build.js'])
  await visit.folders({ '/': `${folder}/dist` }, indexOf(pageOf('main.js', 'defer')))
})

target('Parcel', { tools: { parcel: './parcel/node_modules/parcel' } }, async (folder) => {
  await run(folder, process.execPath, ['node_modules/parcel/lib/bin.js', 'build', 'index.html'])
  await visit.folders({ '/': `${folder}/dist` })
})

// These two find their own package only below the app: they are built where they are installed.

const next = here('next')
const nextPath = 'node_modules/next/dist/bin/next'
for (const bundler of ['Turbopack', 'webpack'])
  test(`Next, ${bundler}`, async () => {
    prepare(next, `${next}/visit.js`)
    const flag = `--${bundler.toLowerCase()}`
    const address = ['--port', '0', '--hostname', '127.0.0.1']
    await run(next, process.execPath, [nextPath, 'build', flag])
    await visit.server(next, process.execPath, [nextPath, 'start', ...address])
    await visit.server(next, process.execPath, [nextPath, 'dev', flag, ...address])
    record(`Next, ${bundler}`)
  })

test('SvelteKit', async () => {
  const folder = here('sveltekit')
  prepare(folder, `${folder}/src/visit.js`)
  const node = here('more/node_modules/node22/bin/node')
  await run(folder, node, [vitePath, 'build'])
  await visit.folders({ '/': `${folder}/build` })
  await visit.server(folder, node, [vitePath, '--port', '0', '--host', '127.0.0.1'])
  record('SvelteKit')
})

/** Puts the packed package and the shared code into an app that is built in place, and removes what was built before. */
function prepare(folder, code) {
  install(folder)
  cpSync(here('app/visit.js'), code)
  for (const built of ['.next', '.svelte-kit', 'build']) rmSync(`${folder}/${built}`, { recursive: true, force: true })
}
