// The health report, formatted and as JSON.
import type { App, View } from '../app.ts'
import { action, fill, h, toastError } from '../dom.ts'
import { ago, bytes, count, millis } from '../format.ts'

export function healthView({ db }: App): View {
  const cards = h('section', { class: 'tiles' })
  const alerts = h('section')
  const json = h('pre', { class: 'card json' })

  async function show(): Promise<void> {
    const health = await db.health()
    fill(
      cards,
      tile('Status', health.status, `as of ${ago(health.timestamp)}`, health.status),
      tile('Lock', health.lock.state, `epoch ${health.lock.epoch}, since ${ago(health.lock.since)}`),
      tile(
        'Schema',
        health.migrations.current ?? '–',
        `${health.migrations.pending} pending, ${health.migrations.modified} modified`,
      ),
      tile(
        'Storage',
        bytes(health.storage.bytes),
        `${health.storage.kind}, ${health.storage.durability}, log ${bytes(health.storage.logBytes)}`,
      ),
      tile(
        'Quota',
        bytes(health.storage.usage),
        `of ${bytes(health.storage.quota)}, ${health.storage.persisted ? 'persisted' : 'not persisted'}`,
      ),
      tile('Snapshots', String(health.snapshot.count), `the last ${ago(health.snapshot.lastSuccess)}`),
      tile('Sync', health.sync.phase, `${health.sync.pending} pending, ${health.sync.rejected} rejected`),
      tile(
        'Queries',
        count(health.queries.count),
        `half within ${millis(health.queries.p50Ms)}, 95 % within ${millis(health.queries.p95Ms)}`,
      ),
    )
    fill(
      alerts,
      ...health.alerts.map((alert) =>
        h('p', { class: `alert ${alert.severity}` }, h('span', { class: 'badge' }, alert.code), ' ', alert.message),
      ),
      health.alerts.length === 0 && h('p', { class: 'note' }, 'No alerts.'),
    )
    fill(json, JSON.stringify(health, null, 2))
  }
  show().catch(toastError)
  const element = h(
    'article',
    {},
    h('div', { class: 'heading' }, h('h1', {}, 'Health'), action('Check again', show, { class: 'primary' })),
    cards,
    alerts,
    h('h2', {}, 'As it is'),
    json,
  )
  return { element }
}

function tile(name: string, value: string, note: string, kind = ''): HTMLElement {
  return h(
    'div',
    { class: `card tile ${kind}`, 'data-tile': name },
    h('span', { class: 'note' }, name),
    h('b', {}, value),
    h('span', { class: 'note' }, note),
  )
}
