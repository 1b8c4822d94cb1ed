// A page with the app of a framework: what the tests do there and see.
import { until } from '../../scenarios/run/context.mjs'

export { until }

/** The page of a bundle, served beside it. */
export const htmlOf = (name, body = '') => `<!doctype html>
<title>${name}</title>
<link rel="icon" href="data:,">
<body>${body}
<script type="module">
  import * as tidelock from '/tidelock/index.js'
  import * as app from '/${name}.js'
  window.runs = 0
  window.lockRequests = []
  const { request } = navigator.locks
  navigator.locks.request = function (name, ...given) {
    window.lockRequests.push(name)
    return request.call(this, name, ...given)
  }
  const migrations = [{ version: '1', name: 'todos', up: 'CREATE TABLE todos (id INTEGER PRIMARY KEY, list TEXT, title TEXT)' }]
  const functions = { scalar: { counted: () => ++window.runs } }
  Object.assign(window, { tidelock, app })
  window.optionsOf = (name, more) => ({ name, migrations, functions, ...more })
  window.open = (name, more) => tidelock.open(optionsOf(name, more))
  window.ready = true
</script>`

/** The titles of a list; each run of it is counted. */
export const TODOS = 'SELECT id, title FROM todos WHERE list = ? AND (SELECT counted()) ORDER BY id'

let names = 0

export class AppPage {
  #page
  #problems = []

  /** `page` is Playwright's. */
  constructor(page) {
    this.#page = page
    page.on('pageerror', (error) => this.#problems.push(error.stack ?? String(error)))
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) this.#problems.push(message.text())
    })
  }

  static async at(browser, url) {
    const page = new AppPage(await browser.page())
    await page.#page.goto(url)
    await page.#page.waitForFunction(() => window.ready === true)
    return page
  }

  evaluate(work, ...given) {
    return this.#page.evaluate(work, ...given)
  }

  close() {
    return this.#page.close()
  }

  /** The errors and warnings since the last call. */
  takeProblems() {
    return this.#problems.splice(0)
  }

  /** Makes an empty place for an app and a name for its database, which nothing else has. */
  async begin() {
    this.name = `components-${process.pid}-${++names}`
    await this.evaluate((name) => {
      document.body.innerHTML = '<div id="app"></div>'
      window.runs = 0
      window.lockRequests = []
      window.name = name
      window.source = { options: optionsOf(name) }
    }, this.name)
  }

  /** Mounts the app, by default with a list of todos. Its source is `window.source`. */
  mount(props = {}) {
    return this.evaluate(
      (props) => {
        window.handle = app.mount(document.querySelector('#app'), { source: window.source, ...props })
      },
      { list: 'home', sql: TODOS, ...props },
    )
  }

  update(props, options) {
    return this.evaluate(([props, options]) => handle.update(props, options), [props, options])
  }

  unmount() {
    return this.evaluate(() => handle.unmount())
  }

  /** Opens the database beside the app. */
  openBeside() {
    return this.evaluate(async () => {
      window.beside = await open(window.name)
    })
  }

  add(list, title) {
    return this.evaluate(
      (values) => beside.run('INSERT INTO todos (list, title) VALUES (?, ?)', values).then(() => {}),
      [list, title],
    )
  }

  closeBeside() {
    return this.evaluate(() => beside.close())
  }

  click(selector) {
    return this.evaluate((selector) => document.querySelector(selector).click(), selector)
  }

  texts(selector) {
    return this.evaluate(
      (selector) => [...document.querySelectorAll(selector)].map(({ textContent }) => textContent.trim()),
      selector,
    )
  }

  /** Waits until the elements have these texts. */
  async shows(selector, ...expected) {
    let texts
    await until(async () => {
      texts = await this.texts(selector)
      return JSON.stringify(texts) === JSON.stringify(expected)
    }).catch(() => {
      throw new Error(`${selector} shows ${JSON.stringify(texts)} instead of ${JSON.stringify(expected)}`)
    })
  }

  /** Notes the texts of elements whenever anything in the page changes. */
  note(selector) {
    return this.evaluate((selector) => {
      window.noting?.disconnect()
      window.noted = []
      const look = () =>
        noted.push([...document.querySelectorAll(selector)].map(({ textContent }) => textContent.trim()))
      window.noting = new MutationObserver(look)
      noting.observe(document.body, {
        childList: true,
        characterData: true,
        subtree: true,
        attributes: true,
      })
    }, selector)
  }

  /** What was noted since then. */
  noted() {
    return this.evaluate(() => noted)
  }

  runs() {
    return this.evaluate(() => runs)
  }

  /** The locks that are held or awaited in the browser. */
  locks() {
    return this.evaluate(async () => {
      const { held, pending } = await navigator.locks.query()
      return [...held, ...pending].map(({ name }) => name)
    })
  }

  async isFree() {
    await until(async () => (await this.locks()).every((lock) => !lock.includes(this.name)))
  }
}
