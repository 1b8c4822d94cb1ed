import { migrationsFrom, type OpenOptions } from 'tidelock'

const url: string | undefined = import.meta.env.VITE_SUPABASE_URL
const key: string | undefined = import.meta.env.VITE_SUPABASE_KEY
const files = import.meta.glob<string>('./migrations/*.sql', { query: '?raw', import: 'default', eager: true })

export const options: OpenOptions = {
  name: 'todo',
  migrations: migrationsFrom(files),
  // Every tab has the same list: the first one runs SQLite, in a worker, the others send it their calls.
  tabs: 'shared',
  thread: 'worker',
  // With a project, the list is sent whenever there is a network. Without one it stays on the device.
  ...(url && key && { mode: 'cloud', remote: { url, key, tables: [{ table: 'todos', deleted: 'compare' }] } }),
}
