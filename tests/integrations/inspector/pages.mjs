// Serves pages with the inspector, under the strictest policy that the wasm allows, and drives them in Chromium.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { Browser } from '../../e2e/browser.mjs'
import { serve } from '../../e2e/serve.mjs'

const place = (relative) => fileURLToPath(new URL(relative, import.meta.url))

const POLICY = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "style-src 'self'",
  "connect-src 'self'",
  'img-src data:',
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ')

const html = (policy) => `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    ${policy ? `<meta http-equiv="Content-Security-Policy" content="${policy}">` : ''}
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>An app</title>
    <link rel="icon" href="data:,">
    <link rel="stylesheet" href="/page.css">
    <script type="module" src="/page.mjs"></script>
  </head>
  <body></body>
</html>`

const CSS = 'html, body { height: 100%; margin: 0 } tidelock-inspector { height: 100% }'

/** Starts a server and a browser → `{ open(), close() }`. */
export async function startPages() {
  const server = await serve({
    folders: { '/tidelock/': place('../../../pkg-js/dist') },
    files: {
      '/index.html': html(POLICY),
      // Chromium refuses to make the worker under Trusted Types: that is the app's to allow.
      '/worker.html': html(POLICY.replace(/; require-trusted-types-for.*/, "; worker-src 'self'")),
      '/page.mjs': readFileSync(place('page.mjs'), 'utf8'),
      '/page.css': CSS,
    },
  })
  const browser = new Browser({ viewport: { width: 1280, height: 800 } })
  await browser.start()
  const axe = readFileSync(fileURLToPath(import.meta.resolve('axe-core/axe.min.js')), 'utf8')

  /** Opens a page with an inspector; `check()` fails for errors and violations of its policy so far. */
  async function open(options = {}, { file = 'index.html', start = 'start', ...media } = {}) {
    const page = await browser.page()
    page.setDefaultTimeout(15_000)
    const problems = []
    page.on('pageerror', (error) => problems.push(String(error.stack)))
    page.on('console', (message) => message.type() === 'error' && problems.push(message.text()))
    if (media.viewport) await page.setViewportSize(media.viewport)
    await page.emulateMedia({ colorScheme: media.colorScheme ?? 'light' })
    await page.goto(`${server.url}/${file}`)
    await page.waitForFunction(() => globalThis.start !== undefined)
    await page.evaluate(([name, given]) => globalThis[name](given), [start, options])
    await page.waitForSelector('[role=tabpanel]')
    return {
      page,
      async view(name) {
        await page.click(`#tab-${name}`)
        await page.waitForSelector(`[role=tabpanel][data-view=${name}]`)
      },
      async check() {
        const violations = await page.evaluate(() => globalThis.violations)
        assert.deepEqual([...problems, ...violations], [])
      },
      /** What axe finds that is serious or critical. */
      async flaws() {
        await page.evaluate(axe)
        const violations = await page.evaluate(async () => {
          // axe doesn't measure the contrast of texts on gradients: those at the edges of scrolled areas are off meanwhile.
          const root = document.querySelector('tidelock-inspector').shadowRoot
          const before = [...root.adoptedStyleSheets]
          const plain = new CSSStyleSheet()
          plain.replaceSync('* { background-image: none !important }')
          root.adoptedStyleSheets = [...before, plain]
          const { violations } = await globalThis.axe.run(document, { resultTypes: ['violations'] })
          root.adoptedStyleSheets = before
          return violations
        })
        return violations
          .filter(({ impact }) => impact === 'serious' || impact === 'critical')
          .map(
            ({ id, nodes }) =>
              `${id}: ${nodes.map(({ target, failureSummary }) => `${target} ${failureSummary}`).join('; ')}`,
          )
      },
    }
  }
  return {
    open,
    browser,
    async close() {
      await browser.dispose()
      await server.close()
    },
  }
}

/** The folder of the screenshots. */
export const screenshots = path.join(import.meta.dirname, '../../../.cache/inspector')
