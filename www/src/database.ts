// Opens the database of this app, with all options.
import { type Conflict, type Database, migrationsFrom, open, type TableSync } from 'tidelock'

/** The name of the database, its lock and its storage. */
export const NAME = 'fennel-and-rye'

/**
 * The settings in the page's URL: `?thread=worker` runs SQLite in a worker, `?tabs=shared` lets several tabs use the database at once. The
 * last setting is remembered for a URL without one, so that a new tab joins the tabs that share.
 */
export const SETTINGS = {
  thread: setting('thread') === 'worker' ? 'worker' : 'current',
  tabs: setting('tabs') === 'shared' ? 'shared' : 'exclusive',
} as const

function setting(name: string): string | null {
  const given = new URLSearchParams(location.search).get(name)
  if (given !== null) localStorage.setItem(name, given)
  return given ?? localStorage.getItem(name)
}

/** The synced tables, parents first, with their conflict policies. */
const TABLES: readonly (TableSync & { rule: string })[] = [
  { table: 'customers', cursor: 'updated_at', conflict: 'keep-local', rule: 'ours stays' },
  { table: 'products', cursor: 'updated_at', conflict: mergeProduct, rule: 'stock adds up' },
  { table: 'orders', cursor: 'updated_at', conflict: 'remote-wins', rule: 'the office decides' },
  { table: 'order_lines', cursor: 'updated_at', conflict: 'keep-local', rule: 'ours stays' },
]

export const SYNCED = TABLES.map(({ table }) => table)

/** The conflict policies in words, by table. */
export const RULES = new Map(TABLES.map(({ table, rule }) => [table, rule]))

/** Decides a conflict: adds both sides' changes of the stock; other local changes win. A product that one side deleted is the remote's. */
function mergeProduct({ base, local, remote }: Conflict): Conflict['remote'] {
  if (!base || !local || !remote) return remote
  const changed = Object.entries(local).filter(([column, value]) => value !== base[column])
  const stock = Number(remote.stock) + Number(local.stock) - Number(base.stock)
  return { ...remote, ...Object.fromEntries(changed), stock }
}

const migrations = migrationsFrom(
  import.meta.glob<string>('../migrations/*.sql', { query: '?raw', import: 'default', eager: true }),
)

/** Opens the database. `wait` waits until the other tab has released the lock, instead of failing at once. */
export async function openDatabase(wait: boolean): Promise<Database> {
  const { url, key } = (await (await fetch('./remote.json')).json()) as { url: string; key: string }
  return open({
    name: NAME,
    migrations,
    ...SETTINGS,
    lock: wait ? { onBusy: 'wait', timeoutMs: 60_000 } : { onBusy: 'fail' },
    snapshots: { intervalMs: 5 * 60_000, keep: 5 },
    remote: { url, key, tables: TABLES.map(({ rule: _, ...table }) => table) },
  })
}
