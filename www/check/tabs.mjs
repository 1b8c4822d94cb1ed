// Several tabs: one that is refused, and some that share the database.
import assert from 'node:assert/strict'
import { count } from './run.mjs'

export async function refusesSecondTab(run) {
  const first = run.page
  const second = await run.browser.page()
  run.watch(second)
  await second.goto(run.address())
  await second.waitForSelector('[data-screen=busy]')
  assert.match(await second.textContent('h1'), /^Database already in use by tab ".*Fennel & Rye.*" since \d\d:\d\d$/)
  const facts = await second.textContent('.facts')
  for (const expected of ['Fennel & Rye', run.url, 'database_in_use'])
    assert.ok(facts.includes(expected), `${expected} in ${facts}`)
  run.page = second
  await run.shot('second-tab')
  await second.click('button:has-text("Wait for it")')
  await first.close()
  await second.waitForSelector('.frame')
  assert.equal(await run.count(`customers WHERE contact = '${run.contact}'`), 1)
  return '“Database already in use” in a second tab, with the holder’s title, address and time; it got in when the first one closed'
}

const becomes = (page, role) => page.waitForSelector(`.pill[data-role=${role}]`)

export async function sharesTabs(run) {
  const nth = 41
  const text = `From a follower (${run.thread})`
  await run.view('lock')
  await run.page.click('a:text-is("shares the database")')
  await becomes(run.page, 'leader')
  const leader = run.page
  await run.view('tables/customers')
  // The plain address will do: the setting is remembered.
  const follower = await run.open()
  await becomes(follower, 'follower')
  // SQLite runs in one place only, whatever the thread.
  assert.equal(follower.workers().length, 0)

  const id = await run.edit('customers', nth, 'contact', text)
  const cell = `[data-table=customers] tbody tr:nth-child(${nth})`
  await leader.waitForSelector(`${cell}.pending td[data-column=contact]:text-is("${text}")`)
  const tasks = await run.count('tasks')
  await follower.evaluate(() =>
    window.db.transaction(async (tx) => {
      for (const n of [1, 2, 3]) await tx.run('INSERT INTO tasks (title) VALUES (?)', [`Shared ${n}`])
    }),
  )
  await leader.waitForSelector(`[data-count=tasks]:text-is("${count(tasks + 3)}")`)
  run.page = leader
  await run.shot('leader')
  run.page = follower
  await run.sync()
  await leader.waitForSelector(`${cell}:not(.pending)`)
  await run.shot('follower')
  assert.deepEqual(
    (await run.sameOnBothSides('customers', [id], ['id', 'contact', 'updated_at'])).map((row) => row.contact),
    [text],
  )
  await run.view('lock')
  await run.shot('follower-lock')
  run.leader = leader
  return 'Shared the database: a second tab followed, the leader showed its edits and its transaction at once, its sync sent them'
}

export async function survivesLeader(run) {
  const { page } = run
  const writing = page.evaluate(async () => {
    for (window.written = 0; !window.enough; window.written++)
      await window.db.run('INSERT INTO tasks (title) VALUES (?)', [`handover ${window.written}`])
    return window.written
  })
  const reach = (number) => page.waitForFunction((least) => window.written >= least, number, { polling: 10 })
  await reach(20)
  await run.leader.close()
  await becomes(page, 'leader')
  await reach((await page.evaluate(() => window.written)) + 20)
  await page.evaluate(() => {
    window.enough = true
  })
  const written = await writing
  const titles = (await run.query("SELECT title FROM tasks WHERE title LIKE 'handover %' ORDER BY id")).map(
    (row) => row.title,
  )
  assert.deepEqual(
    titles,
    Array.from({ length: written }, (_, n) => `handover ${n}`),
    'each write happened once',
  )
  assert.equal(page.workers().length, run.thread === 'worker' ? 1 : 0, 'workers of the new leader')
  const id = await run.edit('customers', 50, 'contact', `From the new leader (${run.thread})`)
  const report = await run.sync()
  assert.equal(report.sent.tables.find(({ table }) => table === 'customers').updated, 1)
  await run.sameOnBothSides('customers', [id], ['id', 'contact', 'updated_at'])
  return `The leader’s tab closed in the middle of ${written} writes: the second tab leads, each of them is there once, and it syncs`
}
