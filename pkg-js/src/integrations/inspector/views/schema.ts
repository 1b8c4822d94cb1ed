// The schema: a diagram of the tables, and each object as text.
import { type CatalogColumn, columnsIfReadable, foreignKeysOf, listTables, type TableReference } from '../catalog.js'
import type { Context } from '../context.js'
import { type DiagramTable, diagram } from '../diagram.js'
import { type Child, empty, fill, h, loading, refill, section } from '../dom.js'
import { plural } from '../format.js'
import { textGrid } from '../grid.js'

interface SchemaEntry {
  readonly type: string
  readonly name: string
  readonly table: string
  readonly sql: string | null
}

export function schemaView(context: Context): HTMLElement {
  const { db, signal } = context
  const content = h('div', { class: 'stack' }, loading())
  let before = ''

  async function show(): Promise<void> {
    const entries = (await listTables(db, signal)).filter((table) => !table.isInternal)
    const objects = await db.query<{ type: string; name: string; tbl_name: string; sql: string | null }>(
      `SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name COLLATE NOCASE`,
      [],
      { signal },
    )
    const tables: (DiagramTable & { readonly type: string })[] = []
    for (const { name, type } of entries) {
      const [columns, foreignKeys] = await Promise.all([
        columnsIfReadable(db, name, signal),
        foreignKeysOf(db, name, signal),
      ])
      tables.push({ name, type, columns, foreignKeys })
    }
    // A change of rows is no reason to draw everything again.
    const now = JSON.stringify([tables, objects])
    if (now === before) return
    before = now
    if (tables.length === 0) return void fill(content, empty('This database has no tables yet.'))
    const drawn = tables.filter(({ type }) => type !== 'view')
    refill(
      content,
      drawn.length > 0 &&
        section(
          'Diagram',
          diagram(drawn, (table) => context.go(`tables/${encodeURIComponent(table)}`)),
        ),
      section('Objects'),
      ...tables.map((table) =>
        describe(
          table,
          objects
            .map(({ tbl_name, ...object }) => ({ ...object, table: tbl_name }))
            .filter((object) => object.table === table.name),
        ),
      ),
    )
  }
  context.watch(show)
  return content
}

function describe(table: DiagramTable & { readonly type: string }, objects: readonly SchemaEntry[]): HTMLElement {
  const others = objects.filter(({ type }) => type === 'index' || type === 'trigger')
  return h(
    'details',
    { class: 'object' },
    h(
      'summary',
      {},
      h('b', {}, table.name),
      h('span', { class: 'soft' }, ` ${table.type}, ${plural(table.columns.length, 'column')}`),
      h('span', { class: 'soft' }, counted(others)),
    ),
    textGrid(
      `Columns of ${table.name}`,
      ['column', 'type', 'constraints', 'refers to'],
      table.columns.map((column): Child[] => [
        column.name,
        column.type || '–',
        constraints(column),
        target(table.foreignKeys, column),
      ]),
    ),
    ...objects.map(({ sql }) => h('pre', { tabIndex: 0 }, sql)),
  )
}

/** The numbers of indexes and triggers, after those of columns. */
function counted(objects: readonly SchemaEntry[]): string {
  const of = (type: string) => objects.filter((object) => object.type === type).length
  const [indexes, triggers] = [of('index'), of('trigger')]
  return [indexes > 0 && `, ${plural(indexes, 'index', 'indexes')}`, triggers > 0 && `, ${plural(triggers, 'trigger')}`]
    .filter(Boolean)
    .join('')
}

function constraints({ key, notNull, isGenerated, defaultText }: CatalogColumn): string {
  const parts = [
    key > 0 && 'PRIMARY KEY',
    notNull && 'NOT NULL',
    isGenerated && 'GENERATED',
    defaultText !== null && `DEFAULT ${defaultText}`,
  ]
  return parts.filter(Boolean).join(', ')
}

function target(keys: readonly TableReference[], { name }: CatalogColumn): string {
  return keys
    .flatMap(({ from, table, to }) => {
      const at = from.indexOf(name)
      return at < 0 ? [] : [to[at] === undefined ? table : `${table}.${to[at]}`]
    })
    .join(', ')
}
