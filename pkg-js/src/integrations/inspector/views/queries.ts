// The live queries with their runs, and the statements of the database: how many, how long, which are slow.
import type { Context } from '../context.js'
import { empty, h, loading, refill, section, terms } from '../dom.js'
import { ago, count, millis } from '../format.js'
import { textGrid } from '../grid.js'
import { ownPrefix } from '../statement.js'

const refreshMs = 1000

export function queriesView({ db, signal, run }: Context): HTMLElement {
  const area = h('div', { class: 'stack' }, loading())

  async function show(): Promise<void> {
    const { queries } = await db.health()
    if (signal.aborted) return
    const live = db.liveQueries
    const slow = queries.slow.filter(({ sql }) => !sql.includes(ownPrefix))
    refill(
      area,
      section(
        'Live queries',
        live.length === 0
          ? empty('None. db.live(…) makes one.')
          : textGrid(
              'Live queries',
              ['query', 'readers', 'rows', 'runs', 'last run', 'on average', 'when'],
              live.map(({ sql, readers, rows, runs, lastMs, totalMs, lastAt, error }) => [
                h('code', { class: 'sql', title: sql }, error === undefined ? sql : `${sql} (${error.message})`),
                count(readers),
                rows === undefined ? '–' : count(rows),
                count(runs),
                lastMs === undefined ? '–' : millis(lastMs),
                runs === 0 ? '–' : millis(totalMs / runs),
                ago(lastAt),
              ]),
            ),
      ),
      section(
        'Statements since the database was opened, with those of the inspector',
        terms([
          ['Run', count(queries.count)],
          ['Failed', count(queries.errors)],
          ['Half of the latest within', millis(queries.p50Ms)],
          ['95 % of the latest within', millis(queries.p95Ms)],
        ]),
      ),
      section(
        'The slowest statements',
        slow.length === 0
          ? empty('None yet.')
          : textGrid(
              'Slowest statements',
              ['statement', 'took', 'when', 'query plan'],
              slow.map(({ sql, ms, at, plan }) => [
                h('code', { class: 'sql', title: sql }, sql),
                millis(ms),
                ago(at),
                h('span', { class: 'soft wrap' }, plan.join(' · ')),
              ]),
            ),
      ),
    )
  }
  const timer = setInterval(() => void run(show), refreshMs)
  signal.addEventListener('abort', () => clearInterval(timer))
  void run(show)
  return area
}
