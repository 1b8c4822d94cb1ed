// Health: the report, its alerts, and how its figures went while the inspector was open.
import type { Health } from '../../../index.js'
import { chart } from '../chart.js'
import type { Context } from '../context.js'
import { action, h, loading, refill, section } from '../dom.js'
import { ago, count, millis, size } from '../format.js'

const refreshMs = 2000

export function healthView(context: Context): HTMLElement {
  const { db, recorder, signal } = context
  const area = h('div', { class: 'stack' }, loading())

  async function show(): Promise<void> {
    const health = await recorder.sample()
    if (!signal.aborted) draw(health)
  }

  function draw(health: Health): void {
    refill(
      area,
      h('div', { class: 'tiles' }, ...tilesOf(health)),
      section(
        'Alerts',
        ...health.alerts.map(({ code, severity, message }) =>
          h('p', { class: `alert ${severity}` }, h('span', { class: `badge ${severity}` }, code), ' ', message),
        ),
        health.alerts.length === 0 && h('p', { class: 'soft' }, 'None.'),
      ),
      section('While the inspector is open', h('div', { class: 'charts' }, ...chartsOf(context))),
      h(
        'details',
        { class: 'object report' },
        h('summary', {}, 'The whole report'),
        h('pre', { tabIndex: 0 }, JSON.stringify(health, null, 2)),
      ),
    )
  }

  const maintain = async () => {
    const report = await db.maintain()
    context.notify(
      `Maintained: ${report.integrity.length + report.foreignKeys.length} findings, ${report.errors.length} failed steps`,
    )
    await show()
  }
  const persist = async () => {
    context.notify((await db.persist()) ? 'The browser keeps the data' : 'The browser may evict the data')
    await show()
  }
  const timer = setInterval(() => void context.run(show), refreshMs)
  signal.addEventListener('abort', () => clearInterval(timer))
  void context.run(show)
  return h(
    'div',
    { class: 'stack' },
    h(
      'div',
      { class: 'bar' },
      h('h2', {}, 'Health'),
      h('span', { class: 'space' }),
      action('Flush', () => db.flush().then(show), context.fail, { title: 'Stores what waits in memory: db.flush()' }),
      action('Persist', persist, context.fail, { title: 'Asks the browser not to evict the data: db.persist()' }),
      action('Maintain', maintain, context.fail, {
        title: 'Checks the file, deletes expired rows, updates statistics: db.maintain()',
      }),
    ),
    area,
  )
}

function tilesOf({
  status,
  database,
  timestamp,
  lock,
  migrations,
  storage,
  snapshot,
  sync,
  queries,
}: Health): HTMLElement[] {
  return [
    tile('Status', status, `checked ${ago(timestamp)}`, status),
    tile('Database', size(storage.bytes), `${storage.kind}, ${storage.durability}, log ${size(storage.logBytes)}`),
    tile(
      'Storage of this site',
      size(storage.usage),
      `of ${size(storage.quota)}, ${storage.persisted ? 'persisted' : 'not persisted'}`,
    ),
    tile('Lock', lock.state, lock.since === null ? '' : `taken ${ago(lock.since)}, epoch ${lock.epoch ?? '–'}`),
    tile(
      'Schema version',
      migrations.current ?? 'none',
      `migrations: ${migrations.pending} pending, ${migrations.modified} modified`,
    ),
    tile(
      'Snapshots',
      count(snapshot.count),
      snapshot.lastSuccess === null ? 'none taken yet' : `the last one ${ago(snapshot.lastSuccess)}`,
    ),
    tile('Sync', sync.phase, `${database} mode, ${sync.pending} to send, ${sync.rejected} rejected`),
    tile(
      'Statements',
      count(queries.count),
      `half within ${millis(queries.p50Ms)}, 95 % within ${millis(queries.p95Ms)}`,
    ),
  ]
}

function tile(name: string, value: string, note: string, kind = ''): HTMLElement {
  return h(
    'div',
    { class: `card tile ${kind}`, 'data-tile': name },
    h('span', { class: 'soft' }, name),
    h('b', {}, value),
    h('span', { class: 'soft' }, note),
  )
}

function chartsOf({ recorder: { samples } }: Context): HTMLElement[] {
  const perSecond =
    (value: (health: Health) => number) =>
    (sample: Context['recorder']['samples'][number], before: typeof sample | undefined) =>
      before === undefined
        ? null
        : Math.max(0, (value(sample.health) - value(before.health)) / ((sample.at - before.at) / 1000))
  const whole = (value: number) => (value < 10 ? value.toFixed(1) : count(Math.round(value)))
  return [
    chart(
      'Statements a second',
      samples,
      perSecond(({ queries }) => queries.count),
      whole,
    ),
    chart(
      'Errors a second',
      samples,
      perSecond(({ queries }) => queries.errors),
      whole,
    ),
    chart('95 % of them within', samples, ({ health }) => health.queries.p95Ms, millis),
    chart('Database', samples, ({ health }) => health.storage.bytes, size),
    chart('Page log', samples, ({ health }) => health.storage.logBytes, size),
    chart('Changes to send', samples, ({ health }) => health.sync.pending, count),
  ]
}
