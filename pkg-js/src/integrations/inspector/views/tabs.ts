// The lock, the role of this tab, and what happened to both.
import type { Context } from '../context.js'
import { empty, h, loading, refill, section, terms } from '../dom.js'
import { ago, clock, timeOfDay } from '../format.js'
import { textGrid } from '../grid.js'

const refreshMs = 1000

const roles = {
  owner: 'This tab has the database alone: another one that opens it is refused, or waits.',
  leader: 'This tab holds the lock and runs the database for all tabs.',
  follower: 'This tab sends its calls to the leader, and may take over when the leader closes.',
} as const

export function tabsView({ db, recorder, signal, run }: Context): HTMLElement {
  const area = h('div', { class: 'stack' }, loading())

  async function show(): Promise<void> {
    const { lock, storage } = await db.health()
    const locks = await lockRows(db.name)
    if (signal.aborted) return
    refill(
      area,
      section(
        'Lock',
        terms([
          ['Web Lock', storage.kind === 'memory' ? 'none: a database in memory has its own' : `tidelock/${db.name}`],
          ['State', h('span', { class: `badge ${lock.state}` }, lock.state)],
          ['Since', lock.since === null ? '–' : `${clock(lock.since)} (${ago(lock.since)})`],
          ['Epoch', lock.epoch ?? '–'],
          ['Role', h('span', { class: `badge ${db.role}` }, db.role)],
        ]),
        h('p', { class: 'soft' }, roles[db.role]),
      ),
      section(
        'Locks of this database in this browser',
        locks.length === 0 ? empty('None.') : textGrid('Locks', ['lock', 'state', 'mode', 'client'], locks),
      ),
      section(
        'Events',
        recorder.lifecycle.length === 0
          ? empty('None since the inspector was opened.')
          : textGrid(
              'Events',
              ['time', 'event', 'what'],
              [...recorder.lifecycle].reverse().map(({ time, type, text }) => [timeOfDay(time), type, text]),
            ),
      ),
    )
  }
  const timer = setInterval(() => void run(show), refreshMs)
  signal.addEventListener('abort', () => clearInterval(timer))
  void run(show)
  return area
}

/** The held and the requested locks of a database: its own, and those of the tabs that share it. */
async function lockRows(name: string): Promise<string[][]> {
  const { held = [], pending = [] } = (await navigator.locks?.query()) ?? {}
  const own = `tidelock/${name}`
  const rows = (locks: readonly LockInfo[], state: string) =>
    locks
      .filter((lock) => lock.name === own || lock.name?.startsWith(`${own}/`) || lock.name?.startsWith(`${own}:`))
      .map((lock) => [lock.name ?? '', state, lock.mode ?? '', lock.clientId ?? ''])
  return [...rows(held, 'held'), ...rows(pending, 'waiting')]
}
