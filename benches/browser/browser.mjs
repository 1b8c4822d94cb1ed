// Headless Chromium for the benchmark: a fresh profile on disk each, since a context without one keeps its storage in memory.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

const args = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--js-flags=--expose-gc',
]

/**
 * Starts one, with a new profile or an earlier one's → `{ page(url), version, profile, context, stop(), close() }`; stop() leaves the
 * profile for another. Pages say on stderr what went wrong in them.
 */
export async function startBrowser(earlier) {
  const profile = earlier ?? (await mkdtemp(join(tmpdir(), 'tidelock-bench-')))
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args,
  })
  return {
    profile,
    context,
    version: context.browser()?.version(),
    async page(url) {
      const page = await context.newPage()
      page.on('pageerror', (error) => console.error(`page: ${error}`))
      await page.goto(url)
      await page.waitForFunction(() => window.bench, null, { timeout: 30_000 })
      return page
    },
    stop: () => context.close(),
    async close() {
      await context.close()
      await rm(profile, { recursive: true, force: true })
    },
  }
}
