// The remote of the suite `sync`: a real PostgREST, near and 50 ms away. Preflights are good for one request only: as if each page were
// asked for by another visitor, since a browser keeps them by address.

import { startRemote } from '../../tests/remote/index.mjs'

/** The rows of the table that is pulled. */
export const pulled = 25_000
/** The rows of the tables that are pushed to, before each round. */
const there = 1_000

const tables = ['pushed', 'by_hand']
const columns =
  'id bigint primary key, name text not null, quantity integer not null, updated_at timestamptz not null default now()'
const row = (n) =>
  `${n}, 'A name of some length, ' || ${n}, ${n} % 97, '2026-01-01'::timestamptz + ${n} * interval '1 s'`

/** `{ given, reset(), stop() }`: what the page has to know; what a round has changed is undone; the end. */
export async function startSyncServer(scale) {
  const rows = Math.round(pulled * scale)
  const remote = await startRemote({
    seed: `
      create table items (${columns});
      insert into items select ${row('n')} from generate_series(1, ${rows}) n;
      ${tables.map((table) => `create table ${table} (${columns})`).join(';')};
      analyze;`,
  })
  const near = await remote.another({ maxAge: 0 })
  const far = await remote.another({ maxAge: 0, latencyMs: 50 })
  return {
    given: { near: near.url, far: far.url, key: remote.anonKey, rows },
    async reset() {
      for (const table of tables) {
        await remote.sql(`delete from ${table}`)
        await remote.sql(`insert into ${table} select ${row('n')} from generate_series(1, ${there}) n`)
      }
    },
    stop: () => remote.stop(),
  }
}
