// Who holds the database, and what a second tab gets.
import type { App, View } from '../app.ts'
import { fill, h, toastError } from '../dom.ts'
import { ago, clock } from '../format.ts'

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
  show().catch(toastError)
  const element = h(
    'article',
    {},
    h(
      'div',
      { class: 'heading' },
      h('h1', {}, 'Lock'),
      h('a', { class: 'button primary', href: './', target: '_blank' }, 'Open a second tab'),
    ),
    h('section', { class: 'card' }, facts),
    h(
      'p',
      { class: 'note' },
      'This tab took the lock before it read anything, and the browser gives it back when the tab goes, however it goes. A second tab is told “Database already in use”, and by whom. ',
      'Every stored write is fenced by the epoch, so that a tab which lost the lock can never write again.',
    ),
  )
  return { element }
}
