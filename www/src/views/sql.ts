// A box for SQL: shows rows and duration, or the error with its place.
import type { App, View } from '../app.ts'
import { action, describe, fill, h } from '../dom.ts'
import { millis, plural } from '../format.ts'
import { grid } from '../grid.ts'

const EXAMPLES: Record<string, string> = {
  'Best customers': `-- a total has four digits behind its point: as integers they add up exactly
WITH sales AS (
  SELECT customer_id, count(*) AS orders, sum(CAST(round(total * 10000) AS INTEGER)) AS units
  FROM orders WHERE status <> 'cancelled' GROUP BY customer_id
)
SELECT c.name, c.city, s.orders, printf('%d.%04d', s.units / 10000, s.units % 10000) AS revenue
FROM sales s JOIN customers c ON c.id = s.customer_id
ORDER BY s.units DESC
LIMIT 20`,
  'Revenue by month': `SELECT substr(o.placed_at, 1, 7) AS month, count(*) AS lines, round(sum(l.amount), 2) AS revenue,
       printf('%.*c', max(1, sum(l.amount) / 30000), '█') AS " "
FROM orders o JOIN order_lines l ON l.order_id = o.id
WHERE CAST(l.amount AS REAL) < 1e9
GROUP BY month
ORDER BY month`,
  'Beyond a double': `-- ids beyond 2^53 come out exact, and a numeric keeps every digit
SELECT id, amount, typeof(amount) AS type FROM order_lines ORDER BY length(amount) DESC LIMIT 5`,
  'A mistake': `SELECT name, FROM customers`,
}

const ROWS_SHOWN = 500

export function sqlView({ db }: App): View {
  const text = h('textarea', {
    spellcheck: false,
    rows: 9,
    'aria-label': 'SQL',
    value: sessionStorage.getItem('sql') ?? EXAMPLES['Best customers'],
  })
  const outcome = h('section', { class: 'outcome', 'aria-live': 'polite' })

  async function run(): Promise<void> {
    const sql = text.value
    sessionStorage.setItem('sql', sql)
    const started = performance.now()
    try {
      const rows = await db.query(sql)
      const took = millis(performance.now() - started)
      const columns = Object.keys(rows[0] ?? {})
      fill(
        outcome,
        h(
          'p',
          { class: 'summary' },
          `${plural(rows.length, 'row')} in ${took}`,
          rows.length > ROWS_SHOWN && ` · the first ${ROWS_SHOWN} are shown`,
        ),
        h(
          'div',
          { class: 'card flush' },
          grid({ columns, rows: rows.slice(0, ROWS_SHOWN), empty: 'Done. No rows came out.' }),
        ),
      )
    } catch (error) {
      fill(outcome, problem(error, sql))
    }
  }

  async function explain(): Promise<void> {
    try {
      const plan = await db.explain(text.value)
      fill(
        outcome,
        h('p', { class: 'summary' }, 'The query plan of SQLite'),
        h('div', { class: 'card' }, planList(plan)),
      )
    } catch (error) {
      fill(outcome, problem(error, text.value))
    }
  }

  text.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) void run()
  })
  const examples = Object.entries(EXAMPLES).map(([title, sql]) =>
    h(
      'button',
      {
        type: 'button',
        class: 'chip',
        onclick: () => {
          text.value = sql
          void run()
        },
      },
      title,
    ),
  )
  const element = h(
    'article',
    {},
    h('div', { class: 'heading' }, h('h1', {}, 'SQL'), h('div', { class: 'chips' }, ...examples)),
    h(
      'section',
      { class: 'card editor' },
      text,
      h(
        'div',
        { class: 'buttons' },
        action('Run', run, { class: 'primary' }),
        action('Explain', explain),
        h('span', { class: 'note' }, 'Ctrl + Enter runs it'),
      ),
    ),
    outcome,
  )
  if (sessionStorage.getItem('sql')) void run()
  return { element }
}

/** Shows an error, with its position in the statement. */
function problem(error: unknown, sql: string): HTMLElement {
  const { code, message, hint, details } = describe(error)
  const offset = typeof details.offset === 'number' && details.offset >= 0 ? details.offset : undefined
  const at =
    offset === undefined
      ? undefined
      : h(
          'pre',
          {},
          sql.slice(0, offset),
          h('mark', {}, sql.slice(offset).match(/^\w+|^[\s\S]?/)?.[0] || ' '),
          sql.slice(offset).replace(/^\w+|^[\s\S]/, ''),
        )
  return h(
    'div',
    { class: 'card problem' },
    h('p', {}, h('strong', {}, message)),
    at,
    h('p', { class: 'note' }, [code, details.sqliteCode].filter(Boolean).join(' · ')),
    hint && h('p', { class: 'hint' }, hint),
  )
}

function planList(plan: readonly { id: number; parent: number; detail: string }[], parent = 0): HTMLElement {
  const steps = plan.filter((step) => step.parent === parent)
  return h('ul', { class: 'plan' }, ...steps.map((step) => h('li', {}, step.detail, planList(plan, step.id))))
}
