// Kysely and Drizzle in a page of Chromium, with the engine on the page's thread and in a worker.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { Browser } from '../e2e/browser.mjs'
import { serve } from '../e2e/serve.mjs'

const place = (path) => fileURLToPath(new URL(path, import.meta.url))
const browser = new Browser()
let server
let page

before(async () => {
  const { outputFiles } = await build({
    entryPoints: [place('query-builders-page.mjs')],
    bundle: true,
    format: 'esm',
    write: false,
    plugins: [
      {
        name: 'tidelock, from its own files',
        setup: ({ onResolve }) =>
          onResolve({ filter: /\/index\.js$/ }, ({ path, resolveDir }) => {
            const isPackage = new URL(path, `file://${resolveDir}/`).pathname.endsWith('/pkg-js/dist/index.js')
            return isPackage ? { path: '/tidelock/index.js', external: true } : undefined
          }),
      },
    ],
  })
  server = await serve({
    folders: { '/tidelock/': place('../../pkg-js/dist') },
    files: { '/index.html': '<script type="module" src="/page.js"></script>', '/page.js': outputFiles[0].text },
  })
  await browser.start()
  page = await browser.context.newPage()
  await page.goto(`${server.url}/`)
  await page.waitForFunction(() => globalThis.useBoth !== undefined)
})
after(async () => {
  await browser.dispose()
  await server?.close()
})

for (const thread of ['current', 'worker']) {
  test(`Kysely and Drizzle work in a page, thread: '${thread}'`, async () => {
    const result = await page.evaluate((given) => globalThis.useBoth(given), thread)
    assert.deepEqual(result, {
      admins: [
        ['Ann', true, null],
        ['Cy', true, [1, 255]],
      ],
      streamed: ['Ann', 'Bob', 'Cy'],
      afterwards: 'closed',
    })
  })
}
