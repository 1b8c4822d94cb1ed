// The database of this app: everything that it asks of tidelock is here.
import { type Database, migrationsFrom, open } from 'tidelock'

/** The name of the database, its lock and its storage. */
export const NAME = 'fennel-and-rye'

/** The tables that the remote has too, parents first. */
export const SYNCED = ['customers', 'products', 'orders', 'order_lines']

const migrations = migrationsFrom(
  import.meta.glob<string>('../migrations/*.sql', { query: '?raw', import: 'default', eager: true }),
)

/** Opens it; `wait` stands in line while another tab has it, instead of giving up at once. */
export async function openDatabase(wait: boolean): Promise<Database> {
  const { url, key } = (await (await fetch('./remote.json')).json()) as { url: string; key: string }
  return open({
    name: NAME,
    migrations,
    lock: wait ? { onBusy: 'wait', timeoutMs: 60_000 } : { onBusy: 'fail' },
    snapshots: { intervalMs: 5 * 60_000, keep: 5 },
    remote: {
      url,
      key,
      tables: SYNCED.map((table) => ({ table, cursor: 'updated_at' })),
    },
  })
}
