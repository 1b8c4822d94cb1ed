// The migrations of the schema.
import type { MigrationStatus } from 'tidelock'
import type { App, View } from '../app.ts'
import { action, fill, h, toast, toastError } from '../dom.ts'
import { clock, millis } from '../format.ts'

export function migrationsView(app: App): View {
  const { db } = app
  const body = h('tbody')

  async function show(): Promise<void> {
    const all = await db.migrations.status()
    fill(
      body,
      ...all.map((migration) =>
        h(
          'tr',
          {},
          h('td', { class: 'mono' }, migration.version),
          h('td', {}, migration.name),
          h('td', {}, h('span', { class: `badge ${migration.state}` }, migration.state.replace('_', ' '))),
          h('td', {}, clock(migration.appliedAt)),
          h(
            'td',
            { class: 'number' },
            migration.executionMs === null || migration.executionMs === undefined ? '–' : millis(migration.executionMs),
          ),
          h('td', {}, migration.reversible ? 'yes' : 'no'),
          h('td', { class: 'mono hash', title: migration.checksum ?? '' }, migration.checksum ?? '–'),
        ),
      ),
    )
    fill(buttons, revert(all), all.some((migration) => migration.state === 'pending') && runPending())
    app.refresh()
  }

  function runPending(): HTMLElement {
    return action(
      'Run pending',
      async () => {
        await db.migrations.run()
        toast('The schema is up to date')
        await show()
      },
      { class: 'primary' },
    )
  }

  function revert(all: readonly MigrationStatus[]): HTMLElement {
    const last = all.findLast((migration) => migration.appliedAt)
    return action(
      'Revert the last',
      async () => {
        await db.migrations.revert()
        toast('One migration taken back')
        await show()
      },
      last?.reversible
        ? {}
        : { disabled: true, title: last ? `${last.version} ${last.name} has no down script` : 'None is applied' },
    )
  }

  const buttons = h('div', { class: 'buttons' })
  show().catch(toastError)
  const columns = ['Version', 'Name', 'State', 'Applied', 'Took', 'Reversible', 'SHA-256']
  const element = h(
    'article',
    {},
    h('div', { class: 'heading' }, h('h1', {}, 'Migrations'), buttons),
    h(
      'section',
      { class: 'card flush' },
      h(
        'div',
        { class: 'grid' },
        h('table', {}, h('thead', {}, h('tr', {}, ...columns.map((name) => h('th', { scope: 'col' }, name)))), body),
      ),
    ),
    h(
      'p',
      { class: 'note' },
      'Each runs in its own transaction, with its row in schema_migrations. A changed one is refused when the page opens.',
    ),
  )
  return { element }
}
