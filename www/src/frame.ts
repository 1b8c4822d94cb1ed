// The frame around the views: the bar, the sidebar with the tables, and the current view.
import type { Database } from 'tidelock'
import type { App, View } from './app.ts'
import { NAME, SYNCED } from './database.ts'
import { clearNotes, fill, h, soon } from './dom.ts'
import { count, millis, plural } from './format.ts'
import { type IconName, icon } from './icons.ts'
import { createInspector } from './views/inspect.ts'
import { lockView } from './views/lock.ts'
import { syncView } from './views/sync.ts'

/** The views of this app; the others are the inspector's. */
const VIEWS: Record<string, (app: App) => View> = { sync: syncView, lock: lockView }

const LINKS: Record<IconName, string> = {
  sql: 'SQL',
  sync: 'Sync',
  history: 'History',
  schema: 'Schema',
  migrations: 'Migrations',
  queries: 'Queries',
  lock: 'Lock and tabs',
  health: 'Health',
}

/** What is shown first. */
const FIRST = 'tables/orders'

const ROLES = {
  owner: 'This tab has exclusive use of the database',
  leader: 'This tab holds the lock and runs the database for all tabs',
  follower: 'This tab sends its calls to the leader, and takes over when the leader closes',
}

export function frame(db: Database, openedIn: number): HTMLElement {
  const tables = h('ul', { class: 'tables' })
  const status = h('a', { class: 'pill', href: '#health' }, '…')
  const pending = h('a', { class: 'pill quiet', href: '#sync', hidden: true })
  const role = h('a', { class: 'pill quiet role', href: '#lock' })
  const main = h('main', { class: 'view' })
  const links = (Object.keys(LINKS) as IconName[]).map((id) =>
    h('li', {}, h('a', { href: `#${id}` }, icon(id), LINKS[id])),
  )
  const element = h(
    'div',
    { class: 'frame' },
    h(
      'header',
      { class: 'bar' },
      h(
        'a',
        { class: 'brand', href: `#${FIRST}` },
        h('img', { src: './icon.svg', alt: '' }),
        h('b', {}, 'Fennel & Rye'),
        h('span', {}, 'wholesale pantry'),
      ),
      h('span', { class: 'spacer' }),
      h(
        'span',
        { class: 'pill quiet wide', title: 'From the call of open() to a database that answers' },
        `${NAME} · opened in ${millis(openedIn)}`,
      ),
      role,
      pending,
      status,
    ),
    h(
      'nav',
      { class: 'side', 'aria-label': 'Sections' },
      h('h2', {}, 'Tables'),
      tables,
      h('h2', {}, 'Database'),
      h('ul', {}, ...links),
    ),
    main,
  )

  const inspector = createInspector(db)
  let view: View | undefined
  function show(): void {
    view?.leave?.()
    view = undefined
    clearNotes()
    const address = location.hash.slice(1) || FIRST
    const make = VIEWS[address]
    if (make !== undefined) {
      view = make(app)
      fill(main, view.element)
    } else {
      inspector.view = address
      if (!main.contains(inspector)) fill(main, inspector)
    }
    main.scrollTop = 0
    markCurrent()
  }
  function markCurrent(): void {
    const current = location.hash || `#${FIRST}`
    for (const link of element.querySelectorAll('nav a')) {
      if (link.getAttribute('href') === current) link.setAttribute('aria-current', 'page')
      else link.removeAttribute('aria-current')
    }
  }

  /** Shows the role of this tab; hidden when the tab has the database alone. */
  function showRole(): void {
    role.hidden = db.role === 'owner'
    role.dataset.role = db.role
    role.title = ROLES[db.role]
    fill(role, h('span', { class: 'lamp' }), db.role)
  }

  /** The sidebar's element of each table, kept while its number changes: a link that is replaced under the mouse isn't clicked. */
  const entries = new Map<string, { readonly item: HTMLElement; readonly rows: HTMLElement }>()
  function entryOf(name: string) {
    const rows = h('span', { class: 'count', 'data-count': name })
    const synced = SYNCED.includes(name)
    const dot = h('span', {
      class: synced ? 'dot synced' : 'dot',
      title: synced ? 'synced' : 'in this browser only',
    })
    const link = h('a', { href: `#tables/${name}` }, dot, h('span', { class: 'name' }, name), rows)
    return { item: h('li', {}, link), rows }
  }

  async function showNumbers(): Promise<void> {
    const names = await db.query<{ name: string }>(
      "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!' AND name NOT LIKE 'tidelock!_%' ESCAPE '!' AND name <> 'schema_migrations' ORDER BY rowid",
    )
    const sql = names.map(({ name }) => `SELECT '${name}' AS name, count(*) AS rows FROM "${name}"`).join(' UNION ALL ')
    const counts = sql ? await db.query<{ name: string; rows: number }>(sql) : []
    const items = counts.map(({ name, rows }) => {
      const entry = entries.get(name) ?? entryOf(name)
      entries.set(name, entry)
      fill(entry.rows, count(rows))
      return entry.item
    })
    if (items.length !== tables.children.length || items.some((item, at) => item !== tables.children[at]))
      fill(tables, ...items)
    markCurrent()
    const health = await db.health()
    status.className = `pill ${health.status}`
    fill(status, h('span', { class: 'lamp' }), health.status)
    const waiting = (await db.sync.pending()).length
    pending.hidden = waiting === 0
    fill(pending, plural(waiting, 'local edit'), ' not sent')
  }

  const app: App = {
    db,
    pulls: 0,
    refresh: soon(() => (db.closed ? undefined : showNumbers().catch(console.error))),
  }
  db.addEventListener('change', () => app.refresh())
  db.addEventListener('health', () => app.refresh())
  db.addEventListener('role', showRole)
  addEventListener('hashchange', show)
  app.refresh()
  showRole()
  show()
  return element
}
