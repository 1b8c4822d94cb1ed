// The apps of components/, bundled and served to a browser, and imported as on a server.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { Browser } from '../../e2e/browser.mjs'
import { serve } from '../../e2e/serve.mjs'
import { bundle, PACKAGE_FOLDER, PACKAGE_URL } from './bundle.mjs'
import { documentsFolder, writeDocument } from './documents.mjs'
import { AppPage, htmlOf } from './page.mjs'

export const ENTRIES = { react: 'react.jsx', vue: 'vue.js', svelte: 'svelte.js' }

export class ServedApps {
  #browser = new Browser()
  #folders = []
  #server
  /** The modules of the apps, as a server imports them. */
  modules = {}

  /** Bundles the apps of these frameworks, and the first components of their documents. */
  async start(frameworks) {
    const folder = await mkdtemp(path.join(tmpdir(), 'tidelock-components-'))
    const documents = await documentsFolder()
    this.#folders.push(folder, documents)
    const files = {}
    await Promise.all([
      this.#browser.start(),
      ...frameworks.map(async (name) => {
        const entry = ENTRIES[name]
        files[`/${name}.html`] = htmlOf(name)
        files[`/${name}.js`] = await bundle(entry)
        const file = path.join(folder, `${name}.mjs`)
        await writeFile(file, await bundle(entry, { platform: 'node' }))
        this.modules[name] = await import(pathToFileURL(file))
        const start = await writeDocument(name, documents)
        if (start === undefined) return
        files[`/docs-${name}.html`] = htmlOf(`docs-${name}`, '<div id="app"></div>')
        files[`/docs-${name}.js`] = await bundle(start)
      }),
    ])
    this.#server = await serve({ folders: { [PACKAGE_URL]: PACKAGE_FOLDER }, files })
  }

  /** Opens the page of an app in a tab of its own. */
  page(name) {
    return AppPage.at(this.#browser, `${this.#server.url}/${name}.html`)
  }

  async close() {
    await this.#server?.close()
    await this.#browser.dispose()
    for (const folder of this.#folders) await rm(folder, { recursive: true, force: true })
  }
}
