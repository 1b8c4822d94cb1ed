// The subpaths for React, Vue and Svelte, with the real frameworks in Chromium and on a server. One table of promises holds for all of them;
// those of a single framework follow.
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { Browser } from '../e2e/browser.mjs'
import { serve } from '../e2e/serve.mjs'
import { bundle, PACKAGE_FOLDER, PACKAGE_URL } from './components/bundle.mjs'
import { documentsFolder, writeDocument } from './components/documents.mjs'
import { AppPage, htmlOf, TODOS, until } from './components/page.mjs'

const ENTRIES = { react: 'react.jsx', vue: 'vue.js', svelte: 'svelte.js' }
const browser = new Browser()
const servers = {}
let folder
let documents
let server

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'tidelock-components-'))
  documents = await documentsFolder()
  const files = {}
  await Promise.all([
    browser.start(),
    ...Object.entries(ENTRIES).map(async ([name, entry]) => {
      files[`/${name}.html`] = htmlOf(name)
      files[`/${name}.js`] = await bundle(entry)
      const file = path.join(folder, `${name}.mjs`)
      await writeFile(file, await bundle(entry, { platform: 'node' }))
      servers[name] = await import(pathToFileURL(file))
      files[`/docs-${name}.html`] = htmlOf(`docs-${name}`, '<div id="app"></div>')
      files[`/docs-${name}.js`] = await bundle(await writeDocument(name, documents))
    }),
  ])
  server = await serve({ folders: { [PACKAGE_URL]: PACKAGE_FOLDER }, files })
})
after(async () => {
  await server?.close()
  await browser.dispose()
  for (const made of [folder, documents]) await rm(made, { recursive: true, force: true })
})

/** The ways to use the subpaths: with these further props of the app. */
const ways = [
  { framework: 'react', title: 'React, in StrictMode' },
  { framework: 'vue', title: 'Vue, with the plugin' },
  { framework: 'vue', title: 'Vue, provided by a component', more: { kind: 'component' } },
  { framework: 'svelte', title: 'Svelte, with $store', more: { kind: 'stores' } },
  { framework: 'svelte', title: 'Svelte, with runes', more: { kind: 'runes' } },
]

for (const { framework, title, more } of ways)
  describe(title, () => {
    /** @type {AppPage} */
    let page
    before(async () => {
      page = await AppPage.at(browser, `${server.url}/${framework}.html`)
    })
    after(() => page.close())

    /** A test in the page. It must leave neither errors nor warnings in the console. */
    const inPage = (name, work) =>
      test(name, { timeout: 60_000 }, async () => {
        await page.begin()
        await work()
        assert.deepEqual(page.takeProblems(), [])
      })
    const mount = (props) => page.mount({ ...more, ...props })

    inPage('a mounted list follows every write', async () => {
      await mount()
      await page.shows('.state', 'ready')
      await page.shows('.database', page.name)
      await page.shows('.lock', 'owner held')
      await page.shows('.sync', 'idle 0')
      await page.openBeside()
      await page.add('work', 'elsewhere')
      await page.add('home', 'beside')
      await page.shows('li', 'beside')
      await page.click('.add')
      await page.shows('li', 'beside', 'added')
      await page.shows('.mutation', '1')
      await page.click('.reset')
      await page.shows('.mutation', 'idle')
      await page.unmount()
      await page.closeBeside()
    })

    inPage('the first mount opens one engine, and the unmount stops the query and releases the lock', async () => {
      await mount()
      await page.shows('.state', 'ready')
      assert.equal(
        await page.evaluate(() => lockRequests.filter((lock) => lock === `tidelock/${window.name}`).length),
        1,
      )
      await page.openBeside()
      await page.add('home', 'one')
      await page.shows('li', 'one')
      await page.unmount()
      const runs = await page.runs()
      await page.add('home', 'two')
      await page.add('home', 'three')
      assert.equal(await page.runs(), runs)
      await page.closeBeside()
      await page.isFree()
    })

    inPage('an app that is replaced at once, as in a hot reload, goes on', async () => {
      await mount()
      await page.shows('.state', 'ready')
      await page.click('.add')
      await page.shows('li', 'added')
      await page.evaluate(
        (props) => {
          handle.unmount()
          document.body.innerHTML = '<div id="app"></div>'
          window.handle = app.mount(document.querySelector('#app'), { source, ...props })
        },
        { list: 'home', sql: TODOS, ...more },
      )
      await page.shows('li', 'added')
      await page.click('.add')
      await page.shows('li', 'added', 'added')
      await page.unmount()
      await page.isFree()
    })

    inPage('other parameters are another query, and equal ones the same', async () => {
      await page.openBeside()
      await page.add('home', 'one')
      await page.add('work', 'two')
      await mount()
      await page.shows('li', 'one')
      const runs = await page.runs()
      await page.update({ list: 'home' })
      await page.add('elsewhere', 'three')
      await page.shows('.state', 'ready')
      assert.ok((await page.runs()) <= runs + 1)
      await page.update({ list: 'work' })
      await page.shows('li', 'two')
      await page.add('work', 'four')
      await page.shows('li', 'two', 'four')
      await page.unmount()
      await page.closeBeside()
    })

    inPage('the previous rows stay until the next ones arrive, if that is wanted', async () => {
      await page.openBeside()
      await page.add('home', 'one')
      await page.add('work', 'two')
      for (const keepPreviousRows of [false, true]) {
        await mount({ keepPreviousRows })
        await page.shows('li', 'one')
        await page.note('ul')
        await page.update({ list: 'work' })
        await page.shows('li', 'two')
        const seen = (await page.noted()).map(([text]) => text)
        assert.equal(seen.includes(''), !keepPreviousRows)
        await page.unmount()
      }
      await page.closeBeside()
    })

    inPage('components with the same query share its run', async () => {
      await page.openBeside()
      await page.add('home', 'one')
      await mount({ copies: 2 })
      await page.shows('li', 'one', 'one')
      const runs = await page.runs()
      await page.add('home', 'two')
      await page.shows('li', 'one', 'two', 'one', 'two')
      assert.equal(await page.runs(), runs + 1)
      await page.unmount()
      await page.closeBeside()
    })

    inPage('without a query nothing runs', async () => {
      await mount({ sql: null })
      await page.shows('.database', page.name)
      await page.shows('.state', 'ready')
      assert.equal(await page.runs(), 0)
      await page.unmount()
    })

    inPage('a failing query tells its error', async () => {
      await mount({ sql: 'SELECT * FROM missing WHERE list = ?' })
      await page.shows('.state', 'sqlite_error')
      await page.unmount()
    })

    inPage('a failing mutation tells its error, until the next one', async () => {
      await page.evaluate(() => {
        const trigger =
          "CREATE TRIGGER full BEFORE INSERT ON todos WHEN (SELECT count(*) FROM todos) > 0 BEGIN SELECT raise(ABORT, 'full'); END"
        const [first] = source.options.migrations
        source.options.migrations = [first, { version: '2', name: 'full', up: trigger }]
      })
      await mount()
      await page.click('.add') // waits for the opening
      await page.shows('.mutation', '1')
      await page.click('.add')
      await page.shows('.mutation', 'sqlite_constraint')
      await page.shows('li', 'added')
      await page.unmount()
    })

    inPage(
      'a database that the app has opened is used, told when it is closed, and not closed by the unmount',
      async () => {
        await page.evaluate(async () => {
          window.db = await open(window.name)
          source = { database: db }
        })
        await mount()
        await page.shows('.state', 'ready')
        await page.unmount()
        assert.equal(await page.evaluate(() => db.closed), false)
        await mount()
        await page.shows('.state', 'ready')
        await page.evaluate(() => db.close())
        await page.shows('.state', 'closed')
        await page.shows('.lock', 'owner released')
        await page.click('.add')
        await page.shows('.mutation', 'closed')
        await page.unmount()
      },
    )

    inPage('a promise of a database is awaited; without a database, writes are refused', async () => {
      await page.evaluate(() => {
        source = { database: new Promise((resolve) => Object.assign(window, { resolve })) }
      })
      await mount()
      await page.shows('.state', 'loading')
      await page.evaluate(async () => resolve(await open(window.name)))
      await page.shows('.database', page.name)
      await page.unmount()
      await page.evaluate(() => {
        source = { database: undefined }
      })
      await mount()
      await page.click('.add')
      await page.shows('.mutation', 'invalid_argument')
      await page.shows('.state', 'loading')
      await page.unmount()
      await page.evaluate(() => open(window.name).then((db) => db.close()))
    })

    inPage('a stolen lock is told', async () => {
      await mount()
      await page.shows('.lock', 'owner held')
      const thief = await AppPage.at(browser, `${server.url}/${framework}.html`)
      await thief.evaluate((name) => open(name, { lock: { onBusy: 'steal' } }).then(() => {}), page.name)
      await page.shows('.lock', 'owner lost')
      await page.shows('.state', 'lock_lost')
      await page.unmount()
      await thief.close()
      page.takeProblems()
    })

    inPage('a failed opening is told', async () => {
      await page.evaluate(() => {
        source = { options: optionsOf(window.name, { storage: 'opfs' }) }
      })
      await mount()
      if (framework === 'react') {
        // useDatabase throws it.
        await until(async () => (await page.texts('.boundary'))[0]?.startsWith('unsupported_environment: '))
      } else {
        await page.shows('.state', 'unsupported_environment')
        await page.shows('.lock', 'none unsupported_environment')
        await page.shows('.sync', 'idle 0 unsupported_environment')
        await page.click('.add')
        await page.shows('.mutation', 'unsupported_environment')
      }
      await page.unmount()
      page.takeProblems()
    })

    inPage('the state of the sync follows writes and rounds', async () => {
      await page.evaluate(() => {
        const fetch = () => Promise.reject(new TypeError('offline'))
        const remote = { url: 'http://127.0.0.1:9', key: 'key', tables: ['todos'], fetch, retries: 0 }
        source = { options: optionsOf(window.name, { remote }) }
      })
      await mount()
      await page.shows('.sync', 'idle 0')
      await page.click('.add')
      await page.shows('.sync', 'idle 1')
      await page.evaluate(async () => {
        window.beside = await tidelock.open(source.options)
        await beside.sync.push().catch(() => {})
      })
      await page.shows('.sync', 'idle 1 sync_network')
      await page.unmount()
      await page.closeBeside()
    })

    inPage('the role follows the other tabs', async () => {
      const other = await AppPage.at(browser, `${server.url}/${framework}.html`)
      await other.evaluate((name) => open(name, { tabs: 'shared', functions: undefined }).then(() => {}), page.name)
      await page.evaluate(() => {
        source = { options: optionsOf(window.name, { tabs: 'shared', functions: undefined }) }
      })
      await mount({ sql: 'SELECT id, title FROM todos WHERE list = ?' })
      await page.shows('.lock', 'follower held')
      await page.shows('.state', 'ready')
      await other.close()
      await page.shows('.lock', 'leader held')
      await page.unmount()
      await page.isFree()
    })

    inPage('outside of a provider the error says what to do', async () => {
      await mount({ outside: true })
      const [text] = await page.texts('.boundary')
      assert.match(text, /^invalid_argument: .*(DatabaseProvider|provideDatabase|setDatabase)/)
      page.takeProblems()
    })

    inPage('a source that is no database is refused', async () => {
      for (const given of ['{}', '{ database: 5 }', '{ database: open(window.name), options: {} }']) {
        await page.evaluate((given) => {
          source = new Function(`return ${given}`)()
          document.body.innerHTML = '<div id="app"></div>'
        }, given)
        await mount()
        await page.shows('.state')
        assert.match((await page.texts('.boundary'))[0], /^invalid_argument: /)
      }
      page.takeProblems()
    })

    for (const isOpen of [false, true])
      inPage(
        `a page takes over what the server rendered, ${isOpen ? 'with an open database' : 'and opens'}`,
        async () => {
          const props = { list: 'home', sql: TODOS, ...more }
          const html = await servers[framework].render({ ...props, source: { options: { name: page.name } } })
          assert.match(html, /class="state"[^>]*>loading</)
          assert.match(html, /class="database"[^>]*>none</)
          if (isOpen)
            await page.evaluate(async () => Object.assign(window, { source: { database: await open(window.name) } }))
          const problems = await page.evaluate(
            async ([html, props]) => {
              const target = document.querySelector('#app')
              target.innerHTML = html
              const problems = []
              const section = target.querySelector('section')
              window.handle = app.hydrate(target, { source, ...props }, (problem) => problems.push(problem))
              while (target.querySelector('.state').textContent !== 'ready')
                await new Promise((resolve) => setTimeout(resolve))
              return section.isConnected ? problems : ['rendered again']
            },
            [html, props],
          )
          assert.deepEqual(problems, [])
          await page.shows('.database', page.name)
          await page.click('.add')
          await page.shows('li', 'added')
          await page.unmount()
          if (isOpen) await page.evaluate(() => source.database.close())
        },
      )
  })

for (const framework of Object.keys(ENTRIES))
  test(`the first component of docs/${framework}.md adds and shows a todo`, async () => {
    const page = await AppPage.at(browser, `${server.url}/docs-${framework}.html`)
    await until(async () => (await page.texts('ul')).length > 0)
    // The documents name the same database.
    const before = await page.texts('li')
    await page.click('button')
    await page.shows('li', ...before, 'Buy tea')
    assert.deepEqual(page.takeProblems(), [])
    await page.close()
  })

describe('React only', () => {
  /** @type {AppPage} */
  let page
  before(async () => {
    page = await AppPage.at(browser, `${server.url}/react.html`)
  })
  after(() => page.close())

  test('the queries of builders and fragments are live', async () => {
    await page.begin()
    await page.openBeside()
    await page.add('home', 'one')
    await page.mount({ kind: 'builders' })
    await page.shows('li', 'one', 'one', 'one', 'home')
    await page.add('home', 'two')
    await page.shows('li', ...Array(3).fill(['one', 'two']).flat(), 'home', 'home')
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
    const holder = await AppPage.at(browser, `${server.url}/react.html`)
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
    const html = await servers.react.render({ ...props, source: { options: { name: page.name } } })
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

test('Vue runs a query in an effect scope outside of components until the scope stops', async () => {
  const page = await AppPage.at(browser, `${server.url}/vue.html`)
  await page.begin()
  await page.openBeside()
  await page.evaluate((sql) => {
    window.observed = app.observeInScope(source, sql, ['home'])
  }, TODOS)
  await page.add('home', 'one')
  await until(() => page.evaluate(() => observed.rows.value[0]?.title === 'one'))
  await page.evaluate(() => observed.stop())
  const runs = await page.runs()
  await page.add('home', 'two')
  await page.add('home', 'three')
  assert.equal(await page.runs(), runs)
  await page.closeBeside()
  await page.isFree()
  assert.deepEqual(page.takeProblems(), [])
  await page.close()
})
