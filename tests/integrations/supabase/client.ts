// Compiled, never run: real clients of supabase-js are what `remote.client` takes.
import { createClient, type SupabaseClient } from '@supabase/supabase-js'
import type { OpenOptions, RemoteOptions, SupabaseLike } from '../../../pkg-js/dist/index.js'

interface Schema {
  app: {
    Tables: { orders: { Row: { id: number }; Insert: { id: number }; Update: { id?: number }; Relationships: [] } }
    Views: Record<never, never>
    Functions: Record<never, never>
  }
}

export const untyped: SupabaseLike = createClient('https://x.supabase.co', 'key')
export const typed = (client: SupabaseClient<Schema, 'app'>): RemoteOptions => ({ client, tables: ['orders'] })
export const perUser: OpenOptions['remote'] = {
  client: createClient<Schema, 'app'>('url', 'key'),
  perUser: true,
  tables: [],
}

let project = 1
export const filters: RemoteOptions = {
  client: untyped,
  tables: [
    { table: 'orders', filter: () => ({ project: `eq.${project++}` }) },
    { table: 'lines', filter: async () => ({}) },
  ],
}
export const tokens: RemoteOptions[] = [
  { url: 'url', key: 'key', accessToken: () => 'token', tables: [] },
  {
    url: 'url',
    key: 'key',
    accessToken: async () => (await createClient('url', 'key').auth.getSession()).data.session?.access_token,
    tables: [],
  },
]

// @ts-expect-error: it has no sessions
export const noClient: RemoteOptions = { client: { auth: {} }, tables: [] }
// @ts-expect-error: a filter is a text
export const noFilter: RemoteOptions['tables'] = [{ table: 'orders', filter: () => ({ a: 1 }) }]
