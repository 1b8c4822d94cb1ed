// The subpaths for React, Vue and Svelte, with the real frameworks in Chromium and on a server. One table of promises holds for all of them;
// those of React alone are in components-react.test.mjs.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { TODOS, until } from './components/page.mjs'
import { ENTRIES, ServedApps } from './components/served.mjs'

const apps = new ServedApps()

before(() => apps.start(Object.keys(ENTRIES)))
after(() => apps.close())

/**
 * The ways to use the subpaths: with these further props of the app. `nth`: of a framework's second way, which shares most of its code with the
 * first, every nth test runs; all of them with TIDELOCK_ALL=1.
 */
const ways = [
  { framework: 'react', title: 'React, in StrictMode' },
  { framework: 'vue', title: 'Vue, with the plugin' },
  { framework: 'vue', title: 'Vue, provided by a component', more: { kind: 'component' }, nth: 2 },
  { framework: 'svelte', title: 'Svelte, with $store', more: { kind: 'stores' }, nth: 2 },
  { framework: 'svelte', title: 'Svelte, with runes', more: { kind: 'runes' } },
]

for (const { framework, title, more, nth = 1 } of ways)
  describe(title, () => {
    /** @type {import('./components/page.mjs').AppPage} */
    let page
    before(async () => {
      page = await apps.page(framework)
    })
    after(() => page.close())

    let tests = 0
    /** A test in the page. It must leave neither errors nor warnings in the console. */
    const inPage = (name, work) => {
      if (++tests % nth > 0 && !process.env.TIDELOCK_ALL) return
      test(name, { timeout: 60_000 }, async () => {
        await page.begin()
        await work()
        assert.deepEqual(page.takeProblems(), [])
      })
    }
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
      const thief = await apps.page(framework)
      await thief.evaluate((name) => open(name, { lock: { onBusy: 'steal' } }).then(() => {}), page.name)
      await page.shows('.lock', 'owner lost')
      await page.shows('.state', 'lock_lost')
      await page.unmount()
      await thief.close()
      page.takeProblems()
    })

    inPage('a failed opening is told', async () => {
      await page.evaluate(() => {
        source = { options: optionsOf(window.name, { storage: 'file' }) }
      })
      await mount()
      if (framework === 'react') {
        // useDatabase throws it.
        await until(async () => (await page.texts('.boundary'))[0]?.startsWith('storage_unavailable: '))
      } else {
        await page.shows('.state', 'storage_unavailable')
        await page.shows('.lock', 'none storage_unavailable')
        await page.shows('.sync', 'idle 0 storage_unavailable')
        await page.click('.add')
        await page.shows('.mutation', 'storage_unavailable')
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

    inPage('without a network the sync is neither idle nor at work, and nothing else is drawn again', async () => {
      const connect = (isOnline) =>
        page.evaluate((isOnline) => {
          Object.defineProperty(navigator, 'onLine', { configurable: true, get: () => isOnline })
          window.dispatchEvent(new Event(isOnline ? 'online' : 'offline'))
        }, isOnline)
      const changesOfNetwork = async () => {
        await page.note('.sync')
        for (const isOnline of [false, true]) await connect(isOnline)
        await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))))
        return page.noted()
      }
      await mount()
      await page.shows('.sync', 'idle 0')
      assert.deepEqual(await changesOfNetwork(), [], 'there is no remote')
      await page.unmount()
      await page.begin()
      await page.evaluate(() => {
        const fetch = () => new Promise(() => {})
        const remote = { url: 'http://127.0.0.1:9', key: 'key', tables: ['todos'], fetch, retries: 0 }
        source = { options: optionsOf(window.name, { remote }) }
      })
      await mount()
      await page.shows('.sync', 'idle 0')
      await connect(false)
      await page.shows('.sync', 'offline 0')
      await page.evaluate(async () => {
        window.beside = await tidelock.open(source.options)
        beside.sync.pull().catch(() => {})
      })
      await page.click('.add')
      await page.shows('.sync', 'offline 1')
      await connect(true)
      await page.shows('.sync', 'pulling 1')
      await page.unmount()
      await page.closeBeside()
    })

    inPage('the last known rows are there while the database opens, and marked as not current', async () => {
      await page.evaluate(() => {
        source = { options: optionsOf(window.name, { functions: undefined }) }
      })
      const sql = 'SELECT id, title FROM todos WHERE list = ? ORDER BY id'
      await mount({ sql, initial: 'last' })
      await page.shows('.state', 'ready')
      await page.click('.add')
      await page.shows('li', 'added')
      await page.unmount()
      await page.isFree()
      const holder = await apps.page(framework)
      await holder.evaluate(async (name) => {
        window.db = await open(name, { functions: undefined })
        await db.run("UPDATE todos SET title = 'current'")
      }, page.name)
      await page.evaluate(() => {
        source.options.lock = { onBusy: 'wait', timeoutMs: 30_000 }
      })
      await mount({ sql, initial: 'last' })
      await page.shows('li', 'added')
      await page.shows('.state', 'loading')
      await page.shows('.database', 'none')
      await page.note('li')
      await holder.evaluate(() => db.close())
      await page.shows('li', 'current')
      await page.shows('.state', 'ready')
      assert.ok(
        (await page.noted()).every((titles) => titles.length === 1),
        'the rows never disappear',
      )
      await holder.close()
      await page.unmount()
    })

    inPage('the role follows the other tabs', async () => {
      const other = await apps.page(framework)
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
          const html = await apps.modules[framework].render({ ...props, source: { options: { name: page.name } } })
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

for (const framework of ['vue', 'svelte'])
  test(`the first component of docs/start-${framework}.md adds and shows a todo`, async () => {
    const page = await apps.page(`docs-${framework}`)
    await until(async () => (await page.texts('ul')).length > 0)
    // The documents name the same database.
    const before = await page.texts('li')
    await page.click('button')
    await page.shows('li', ...before, 'Buy tea')
    assert.deepEqual(page.takeProblems(), [])
    await page.close()
  })

test('Vue runs a query in an effect scope outside of components until the scope stops', async () => {
  const page = await apps.page('vue')
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
