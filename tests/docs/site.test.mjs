// The site of the documents: it is built below a path, its links lead somewhere, and its pages and the playground work in Chromium. The
// screenshots are in .cache/docs/screenshots.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { chromium } from 'playwright-core'
import { checkSite } from '../../scripts/docs/check.mjs'
import { playgroundExamples } from '../../scripts/docs/examples.mjs'
import { chromiumPath } from '../e2e/browser.mjs'
import { serve } from '../e2e/serve.mjs'
import { declaredErrorCodes } from '../node/documents/blocks.mjs'

const root = path.join(import.meta.dirname, '../..')
const site = path.join(root, '.cache/docs/site')
const screenshots = path.join(root, '.cache/docs/screenshots')
/** As on a server that has more than this site. */
const BASE = '/below/'
const PACKAGE = `${BASE}package/index.js`
const WIDTHS = [1280, 360]
const SCHEMES = ['light', 'dark']
const PAGES = [
  'index.html',
  'quickstart.html',
  'start-react.html',
  'concepts.html',
  'comparison.html',
  'sync.html',
  'reference/options.html',
  'reference/methods.html',
  'errors/sqlite_constraint.html',
  'api/index.html',
  'internals/storage-format.html',
  'playground.html',
]
let server, browser

before(async () => {
  await promisify(execFile)(process.execPath, ['scripts/docs/build.mjs', '--base', BASE], { cwd: root }).catch(
    (error) => assert.fail(`${error.message}\n${error.stdout}\n${error.stderr}`),
  )
  server = await serve({ folders: { [BASE]: site } })
  browser = await chromium.launch({ executablePath: chromiumPath(), args: ['--no-sandbox', '--disable-gpu'] })
  rmSync(screenshots, { recursive: true, force: true })
  mkdirSync(screenshots, { recursive: true })
})
after(async () => {
  await browser?.close()
  await server?.close()
})

/** Runs `work` with a way to open pages of the site, each of which must have had no problem in the end. */
async function inPages(options, work) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options })
  const problems = []
  try {
    await work(async (address) => {
      const page = await context.newPage()
      page.on('pageerror', (error) => problems.push(String(error)))
      page.on('console', (message) => message.type() === 'error' && problems.push(message.text()))
      page.on(
        'response',
        (response) => response.status() >= 400 && problems.push(`${response.status()} ${response.url()}`),
      )
      await page.goto(`${server.url}${BASE}${address}`, { waitUntil: 'networkidle' })
      return page
    })
    assert.deepEqual(problems, [])
  } finally {
    await context.close()
  }
}

for (const width of WIDTHS)
  for (const colorScheme of SCHEMES)
    for (const address of PAGES)
      test(`${address} at ${width} px, ${colorScheme}`, () =>
        inPages({ colorScheme, viewport: { width, height: 800 } }, async (open) => {
          const page = await open(address)
          if (address === 'playground.html') await page.waitForSelector('.cm-content')
          assert.notEqual(await page.textContent('h1'), '')
          const { scrollWidth, innerWidth } = await page.evaluate(() => ({
            scrollWidth: document.documentElement.scrollWidth,
            innerWidth,
          }))
          assert.ok(scrollWidth <= innerWidth, `it is ${scrollWidth} px wide`)
          const cut = await page.$$eval('.vp-doc :is(.diagram svg, img)', (pictures) =>
            pictures
              .filter((one) => one.getBoundingClientRect().right > innerWidth)
              .map((one) => one.outerHTML.slice(0, 80)),
          )
          assert.deepEqual(cut, [], 'pictures are as wide as the page at most')
          const name = `${address.replaceAll(/\W+/g, '-').replace('-html', '')}-${width}-${colorScheme}.png`
          await page.screenshot({ path: path.join(screenshots, name), fullPage: address === 'concepts.html' })
        }))

test('the search finds a page by the text of a message', () =>
  inPages({}, async (open) => {
    const page = await open('index.html')
    await page.click('.DocSearch-Button')
    await page.fill('#localsearch-input', 'Database already in use')
    await page.waitForSelector('.VPLocalSearchBox .result')
    assert.match(await page.textContent('.VPLocalSearchBox'), /database_in_use/)
  }))

test('each example of the playground runs', () =>
  inPages({ viewport: { width: 1280, height: 900 } }, async (open) => {
    const page = await open('playground.html')
    await page.waitForSelector('.cm-content')
    for (const { key, title, fails } of playgroundExamples()) {
      await page.selectOption('select', key)
      await page.click('button.run')
      await page.waitForFunction(() => /Done|Failed/.test(document.querySelector('.state').textContent), undefined, {
        timeout: 30_000,
      })
      const [state, output] = [await page.textContent('.state'), await page.textContent('.output')]
      assert.equal(state, fails ? 'Failed.' : 'Done.', `${title}: ${output}`)
      assert.equal(await page.locator('.line.error').count(), fails ? 1 : 0, `${title}: ${output}`)
      assert.ok((await page.locator('.line').count()) > 0, `${title} shows nothing`)
      await page.screenshot({ path: path.join(screenshots, `example-${key}.png`) })
    }
    await page.selectOption('select', 'errors')
    await page.click('button.run')
    const link = await page.waitForSelector('.line.error a')
    assert.equal(await link.getAttribute('href'), `${BASE}errors/sqlite_error.html`)
    // Another page of this origin has a database, too, of the same name as an example.
    await page.evaluate(async (url) => {
      const { open } = await import(url)
      await (await open({ name: 'shop' })).close()
    }, PACKAGE)
    await page.click('text=Delete databases')
    await page.waitForSelector('text=Deleted: ')
    const left = await page.evaluate(
      async (url) => (await (await import(url)).databases()).map(({ name }) => name),
      PACKAGE,
    )
    assert.deepEqual(left, ['shop'])
  }))

test('a block of a page leads to the playground with its code', () =>
  inPages({}, async (open) => {
    const page = await open('live.html')
    await page.click('text=Run it in the playground >> nth=0')
    await page.waitForSelector('.cm-content')
    assert.match(await page.textContent('.cm-content'), /db\.live/)
  }))

test('each error code has a page', () => {
  const codes = declaredErrorCodes().map((code) => `${code}.html`)
  assert.deepEqual(readdirSync(path.join(site, 'errors')).toSorted(), codes.toSorted())
})

test('a link that leads nowhere is found', () => {
  const folder = path.join(root, '.cache/docs/broken')
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  writeFileSync(
    path.join(folder, 'index.html'),
    '<h1 id="here"></h1><a href="/a/#here">x</a><a href="./b.html">x</a><a href="#no">x</a>',
  )
  assert.throws(() => checkSite(folder, '/a/'), /2 links lead nowhere:\n.*b\.html.*\n.*#no/)
})

test('programs find all pages', () => {
  const [short, full] = ['llms.txt', 'llms-full.txt'].map((name) => readFileSync(path.join(site, name), 'utf8'))
  assert.match(short, /\(\/below\/sync\.html\): /)
  assert.ok(full.includes('# Push and conflicts'))
})
