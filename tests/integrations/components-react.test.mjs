// What only tidelock/react has: Suspense, error boundaries, transitions, queries of builders.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { TODOS, until } from './components/page.mjs'
import { ServedApps } from './components/served.mjs'

const apps = new ServedApps()

before(() => apps.start(['react']))
after(() => apps.close())

describe('React', () => {
  /** @type {import('./components/page.mjs').AppPage} */
  let page
  before(async () => {
    page = await apps.page('react')
  })
  after(() => page.close())

  test('the queries of builders and fragments are live', async () => {
    await page.begin()
    await page.openBeside()
    await page.add('home', 'one')
    await page.mount({ kind: 'builders' })
    await page.shows('li', 'one', 'one', 'one', 'home', 'one')
    await page.add('home', 'two')
    await page.shows('li', ...Array(3).fill(['one', 'two']).flat(), 'home', 'home', 'one')
    await page.update({ list: 'nowhere' })
    await page.shows('li')
    await page.unmount()
    await page.closeBeside()
    assert.deepEqual(page.takeProblems(), [])
  })

  test('parameters of different types are different queries', async () => {
    await page.begin()
    await page.mount({ kind: 'values' })
    await page.shows(
      '.state',
      "integer1 integer1 text'1' integer1 blobX'01' blobX'01' text'1970-01-01T00:00:00.001Z' nullNULL text'null'",
    )
    await page.unmount()
  })

  test('a database can come after the provider', async () => {
    await page.begin()
    await page.evaluate(() => {
      source = { database: undefined }
    })
    await page.mount()
    await page.shows('.state', 'loading')
    await page.evaluate(async () => {
      window.db = await open(window.name)
      handle.update({ source: { database: db } })
    })
    await page.shows('.state', 'ready')
    await page.click('.add')
    await page.shows('li', 'added')
    await page.unmount()
    await page.evaluate(() => db.close())
    await page.isFree()
    assert.deepEqual(page.takeProblems(), [])
  })

  test('rows of another database are never kept', async () => {
    await page.begin()
    await page.openBeside()
    await page.add('home', 'one')
    await page.mount({ keepPreviousRows: true })
    await page.shows('li', 'one')
    await page.note('.database, li')
    await page.evaluate(() => handle.update({ source: { options: optionsOf(`${window.name}-other`) } }))
    await page.shows('.database', `${page.name}-other`)
    await page.shows('.state', 'ready')
    const later = (await page.noted()).filter(([database]) => database !== page.name)
    assert.ok(later.length > 0)
    assert.deepEqual(
      later.flat().filter((text) => text === 'one'),
      [],
    )
    await page.unmount()
    await page.closeBeside()
    await page.isFree()
    assert.deepEqual(page.takeProblems(), [])
  })

  test('the database that an app leaves can be deleted at once', async () => {
    await page.begin()
    await page.mount()
    await page.shows('.state', 'ready')
    await page.evaluate(async () => {
      handle.update({ source: { options: optionsOf(`${window.name}-next`) } })
      await tidelock.deleteDatabase(window.name)
    })
    await page.shows('.database', `${page.name}-next`)
    await page.evaluate(async () => {
      handle.unmount()
      await tidelock.deleteDatabase(`${window.name}-next`)
    })
    assert.deepEqual(page.takeProblems(), [])
  })

  test('a query stops while an <Activity> hides its component, and then shows the present rows', async () => {
    await page.begin()
    await page.openBeside()
    await page.add('home', 'one')
    await page.mount({ kind: 'hidden' })
    await page.shows('li', 'one')
    await page.update({ hidden: true })
    const runs = await page.runs()
    await page.add('home', 'two')
    await page.add('home', 'three')
    assert.equal(await page.runs(), runs)
    await page.update({ hidden: false })
    await page.shows('li', 'one', 'two', 'three')
    await page.unmount()
    await page.closeBeside()
    await page.isFree()
    assert.deepEqual(page.takeProblems(), [])
  })

  test('a suspended component shows the fallback, then its rows, and follows writes', async () => {
    await page.begin()
    await page.openBeside()
    await page.add('home', 'one')
    await page.add('work', 'two')
    const wasWaiting = async () => (await page.noted()).some(([text]) => text === 'waiting')
    await page.note('.fallback')
    await page.mount({ kind: 'suspended' })
    await page.shows('li', 'one')
    assert.equal(await wasWaiting(), true)
    await page.add('home', 'three')
    await page.shows('li', 'one', 'three')
    await page.note('.fallback')
    await page.update({ list: 'work' })
    await page.shows('li', 'two')
    assert.equal(await wasWaiting(), true)
    await page.unmount()
    await page.closeBeside()
    await page.isFree()
    assert.deepEqual(page.takeProblems(), [])
  })

  test('a transition keeps the rows of the previous list until those of the next are there', async () => {
    await page.begin()
    await page.openBeside()
    await page.add('home', 'one')
    await page.add('work', 'two')
    await page.mount({ kind: 'suspended' })
    await page.shows('li', 'one')
    await page.note('.fallback')
    await page.update({ list: 'work' }, { transition: true })
    await page.shows('li', 'two')
    assert.deepEqual((await page.noted()).flat(), [])
    await page.unmount()
    await page.closeBeside()
    assert.deepEqual(page.takeProblems(), [])
  })

  test('a query that a suspended render has begun ends when nothing uses it', async () => {
    await page.begin()
    await page.openBeside()
    await page.add('home', 'one')
    await page.evaluate(() => {
      // A database that outlives the app: closing it would end the query, too.
      source = { database: beside }
      window.holds = []
      window.setTimeoutBefore ??= window.setTimeout
      window.setTimeout = (work, ms, ...more) => (ms === 5000 ? holds.push(work) : setTimeoutBefore(work, ms, ...more))
    })
    await page.mount({ kind: 'suspended' })
    await page.shows('li', 'one')
    await page.unmount()
    const runs = await page.runs()
    await page.evaluate(() => {
      window.setTimeout = setTimeoutBefore
      for (const release of holds) release()
    })
    await page.add('home', 'two')
    await page.add('home', 'three')
    assert.equal(await page.runs(), runs)
    await page.closeBeside()
    await page.isFree()
  })

  for (const kind of ['suspended', 'throwing'])
    test(`an error boundary shows the error of a ${kind} component, which can render again`, async () => {
      await page.begin()
      await page.openBeside()
      await page.mount({ kind, sql: 'SELECT * FROM later WHERE list = ?' })
      await until(async () => (await page.texts('.boundary'))[0]?.startsWith('sqlite_error: Compare the statement'))
      await page.evaluate(() => beside.exec('CREATE TABLE later AS SELECT 1 AS id, NULL AS title, NULL AS list'))
      await until(async () => {
        if ((await page.texts('.again')).length > 0) await page.click('.again')
        return (await page.texts('.boundary')).length === 0 && (await page.texts('.state')).length > 0
      })
      await page.unmount()
      await page.closeBeside()
      await page.isFree()
      page.takeProblems()
    })

  test('an error boundary shows why the opening failed', async () => {
    await page.begin()
    const holder = await apps.page('react')
    await holder.evaluate((name) => open(name).then(() => {}), page.name)
    for (const kind of ['plain', 'suspended']) {
      await page.mount({ kind })
      await until(async () => (await page.texts('.boundary'))[0]?.startsWith('database_in_use: '))
      await page.evaluate(() => {
        handle.unmount()
        document.body.innerHTML = '<div id="app"></div>'
      })
    }
    await holder.close()
    page.takeProblems()
  })

  test('a server leaves suspended components to the page', async () => {
    await page.begin()
    const props = { list: 'home', sql: TODOS, kind: 'suspended' }
    const html = await apps.modules.react.render({ ...props, source: { options: { name: page.name } } })
    assert.match(html, /waiting/)
    await page.evaluate(
      ([html, props]) => {
        const target = document.querySelector('#app')
        target.innerHTML = html
        window.problems = []
        window.handle = app.hydrate(target, { source, ...props }, (problem) => problems.push(problem))
      },
      [html, props],
    )
    await page.shows('.state', 'ready')
    assert.match((await page.evaluate(() => problems)).join(), /useSuspenseDatabase waits for the browser/)
    await page.unmount()
    page.takeProblems()
  })
})
