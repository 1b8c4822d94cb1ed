// The holder of the lock, the options for a second tab, and the thread in which SQLite runs.
import type { App, View } from '../app.ts'
import { SETTINGS } from '../database.ts'
import { fill, h, toastError } from '../dom.ts'
import { ago, clock } from '../format.ts'

const NOTES = {
  exclusive:
    'This tab took the lock before it read anything. The browser releases the lock when the tab closes or crashes. A second tab gets “Database already in use”, with the holder.',
  shared:
    'The first tab is the leader: it holds the lock and runs the database. Later tabs are followers: they send it their calls and see every commit at once. When the leader closes, the next tab takes over, and writes in flight happen exactly once.',
}

export function lockView({ db }: App): View {
  const facts = h('dl', { class: 'facts' })
  async function show(): Promise<void> {
    const { lock } = await db.health()
    const rows: [string, string | undefined][] = [
      ['Web Lock', `tidelock/${db.name}`],
      ['State', lock.state],
      ['Role', db.role],
      ['Since', lock.since ? `${clock(lock.since)} (${ago(lock.since)})` : '–'],
      ['Epoch', String(lock.epoch)],
    ]
    fill(facts, ...rows.flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, value ?? '–')]))
  }
  const update = () => void show().catch(toastError)
  db.addEventListener('role', update)
  update()
  const element = h(
    'article',
    {},
    h(
      'div',
      { class: 'heading' },
      h('h1', {}, 'Lock and tabs'),
      h('a', { class: 'button primary', href: `./${location.search}`, target: '_blank' }, 'Open a second tab'),
    ),
    h('section', { class: 'card' }, facts),
    h(
      'section',
      { class: 'card choices' },
      choice('A second tab', 'tabs', { exclusive: 'is refused', shared: 'shares the database' }),
      choice('SQLite runs', 'thread', { current: 'in the page', worker: 'in a worker' }),
    ),
    h(
      'p',
      { class: 'note' },
      `${NOTES[SETTINGS.tabs]} Every stored write is fenced by the epoch, so that a tab which lost the lock can never write again.`,
    ),
  )
  return { element, leave: () => db.removeEventListener('role', update) }
}

/** Shows a setting of the page's URL, as links to the page with each value. */
function choice(name: string, parameter: keyof typeof SETTINGS, values: Record<string, string>): HTMLElement {
  const links = Object.entries(values).map(([value, label]) => {
    const there = new URLSearchParams({ ...SETTINGS, [parameter]: value })
    const current = SETTINGS[parameter] === value ? 'true' : undefined
    return h('a', { href: `?${there}#lock`, 'aria-current': current }, label)
  })
  return h('div', { class: 'choice' }, h('span', {}, name), h('span', { class: 'segments' }, ...links))
}
