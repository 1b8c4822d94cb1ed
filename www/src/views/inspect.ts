// What the inspector of tidelock shows: tables, SQL, schema, migrations, history, queries and health.
import type { Database } from 'tidelock'
import 'tidelock/inspector'
import { h } from '../dom.ts'

const STATEMENTS = [
  `-- Best customers: a total has four digits behind its point, as integers they add up exactly
WITH sales AS (
  SELECT customer_id, count(*) AS orders, sum(CAST(round(total * 10000) AS INTEGER)) AS units
  FROM orders WHERE status <> 'cancelled' GROUP BY customer_id
)
SELECT c.name, c.city, s.orders, printf('%d.%04d', s.units / 10000, s.units % 10000) AS revenue
FROM sales s JOIN customers c ON c.id = s.customer_id
ORDER BY s.units DESC
LIMIT 20`,
  `-- Revenue by month
SELECT substr(o.placed_at, 1, 7) AS month, count(*) AS lines, round(sum(l.amount), 2) AS revenue,
       printf('%.*c', max(1, sum(l.amount) / 30000), '█') AS " "
FROM orders o JOIN order_lines l ON l.order_id = o.id
WHERE CAST(l.amount AS REAL) < 1e9
GROUP BY month
ORDER BY month`,
  `-- Beyond a double: ids beyond 2^53 come out exact, and a numeric keeps every digit
SELECT id, amount, typeof(amount) AS type FROM order_lines ORDER BY length(amount) DESC LIMIT 5`,
  `-- A mistake
SELECT name, FROM customers`,
]

/** Makes the inspector of the database. The sidebar and the address choose its view, so it has no tabs of its own. */
export function createInspector(db: Database): HTMLElementTagNameMap['tidelock-inspector'] {
  const inspector = h('tidelock-inspector', { database: db, statements: STATEMENTS })
  inspector.toggleAttribute('embedded', true)
  inspector.addEventListener('viewchange', () => {
    location.hash = `#${inspector.view}`
  })
  return inspector
}
