// Chromium, where tests/e2e run most of what browsers do: here only what docs/browsers.md says of it, also for private windows.
import { Browser, chromium, shellPath } from '../e2e/browser.mjs'
import { pagesOf } from '../e2e/scenarios.mjs'
import { capabilitiesTest } from './capabilities.mjs'

const { begin, open } = pagesOf(new Browser({ shell: false }))
begin()
capabilitiesTest('Chromium', () => open('current'))

/** A browser whose pages are those of private windows: Playwright's contexts are. What it stores doesn't depend on the user interface. */
class PrivateChromium {
  #browser

  async start() {
    this.#browser = await chromium.launch({ executablePath: shellPath(), args: ['--no-sandbox', '--disable-gpu'] })
  }

  page() {
    return this.#browser.newPage()
  }

  async dispose() {
    await this.#browser?.close()
  }
}

const hidden = pagesOf(new PrivateChromium())
hidden.begin()
capabilitiesTest('Chromium, private', () => hidden.open('current'))
