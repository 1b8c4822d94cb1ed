// The migrations: which are applied, and the buttons to apply and to revert.
import type { MigrationStatus } from '../../../index.js'
import type { Context } from '../context.js'
import { confirmed } from '../dialog.js'
import { action, empty, fill, h, loading } from '../dom.js'
import { clock, millis, plural } from '../format.js'
import { textGrid } from '../grid.js'

export function migrationsView(context: Context): HTMLElement {
  const { db, signal } = context
  const area = h('div', {}, loading())
  const buttons = h('span', { class: 'buttons' })

  async function show(): Promise<void> {
    const all = await db.migrations.status({ signal })
    const pending = all.filter(({ state }) => state === 'pending' || state === 'out_of_order')
    const last = all.filter(({ appliedAt }) => appliedAt !== null).at(-1)
    fill(
      buttons,
      action(
        `Apply ${pending.length > 0 ? plural(pending.length, 'pending migration') : 'pending migrations'}`,
        apply,
        context.fail,
        {
          class: 'primary',
          disabled: pending.length === 0,
        },
      ),
      action('Roll back the last…', () => last && revert(last), context.fail, {
        disabled: last?.reversible !== true,
        title:
          last === undefined
            ? 'None is applied'
            : last.reversible
              ? undefined
              : `${last.version} ${last.name} has no down script`,
      }),
    )
    fill(
      area,
      all.length === 0
        ? empty('This database was opened without the option migrations. Pass them to open, and their states are here.')
        : textGrid(
            'Migrations',
            ['version', 'name', 'state', 'applied', 'took', 'down script', 'SHA-256'],
            all.map((one) => [
              h('code', {}, one.version),
              one.name,
              h('span', { class: `badge ${one.state}` }, one.state.replaceAll('_', ' ')),
              clock(one.appliedAt),
              one.executionMs === null ? '–' : millis(one.executionMs),
              one.reversible ? 'yes' : 'no',
              h('code', { title: one.checksum }, one.checksum.slice(0, 12)),
            ]),
          ),
    )
  }

  async function apply(): Promise<void> {
    await db.migrations.run()
    context.notify('The schema is up to date')
    await show()
  }

  async function revert({ version, name }: MigrationStatus): Promise<void> {
    const text = `Its down script runs: what ${version} ${name} made is lost, unless a snapshot has it.`
    if (!(await confirmed(context.host, `Roll back ${version} ${name}?`, text, 'Roll back'))) return
    await db.migrations.revert()
    context.notify(`${version} ${name} was rolled back`)
    await show()
  }

  context.watch(show)
  return h(
    'div',
    { class: 'stack' },
    h('div', { class: 'bar' }, h('h2', {}, 'Migrations'), h('span', { class: 'space' }), buttons),
    area,
  )
}
