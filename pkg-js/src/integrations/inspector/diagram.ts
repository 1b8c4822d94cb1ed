// Draws tables and their foreign keys as SVG: parents on the left, the tables that refer to them on the right.
import type { CatalogColumn, TableReference } from './catalog.js'
import { h, svg } from './dom.js'

export interface DiagramTable {
  readonly name: string
  readonly columns: readonly CatalogColumn[]
  readonly foreignKeys: readonly TableReference[]
}

const charWidth = 7.2
const lineHeight = 20
const headHeight = 28
const gapX = 70
const gapY = 24
/** The longest text of a box, in characters. */
const longest = 34
/** The most columns that a box shows. */
const mostColumns = 24

interface Box {
  readonly table: DiagramTable
  readonly shown: readonly CatalogColumn[]
  readonly width: number
  readonly height: number
  x: number
  y: number
}

/** Returns the diagram, in an area that scrolls. */
export function diagram(tables: readonly DiagramTable[], onOpen: (table: string) => void): HTMLElement {
  const boxes = placed(tables)
  const width = Math.max(...[...boxes.values()].map((box) => box.x + box.width)) + 20
  const height = Math.max(...[...boxes.values()].map((box) => box.y + box.height)) + 20
  const edges = [...boxes.values()].flatMap((box) => box.table.foreignKeys.map((key) => edge(boxes, box, key)))
  const picture = svg(
    'svg',
    { width, height, viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': description(tables) },
    // Lines run behind the tables that are in their way, their ends are before them.
    ...edges.map((one) => one?.line),
    ...[...boxes.values()].map((box) => boxOf(box, onOpen)),
    ...edges.map((one) => one?.end),
  )
  return h('div', { class: 'diagram', tabIndex: 0, role: 'region', 'aria-label': 'Diagram of the tables' }, picture)
}

function description(tables: readonly DiagramTable[]): string {
  const references = tables.flatMap(({ name, foreignKeys }) => foreignKeys.map(({ table }) => `${name} to ${table}`))
  return `${tables.length} tables. ${references.length > 0 ? `Foreign keys: ${references.join(', ')}` : 'No foreign keys'}`
}

/** Places each table one column to the right of the tables that it refers to. */
function placed(tables: readonly DiagramTable[]): Map<string, Box> {
  const byName = new Map(tables.map((table) => [table.name.toLowerCase(), table]))
  const depths = new Map<string, number>()
  function depthOf(name: string, path: readonly string[]): number {
    const known = depths.get(name)
    if (known !== undefined) return known
    // A cycle ends where it began.
    if (path.includes(name)) return 0
    const parents = (byName.get(name)?.foreignKeys ?? []).map(({ table }) => table.toLowerCase())
    const above = parents.filter((parent) => parent !== name && byName.has(parent))
    const depth = Math.max(-1, ...above.map((parent) => depthOf(parent, [...path, name]))) + 1
    depths.set(name, depth)
    return depth
  }
  const boxes = new Map<string, Box>()
  const layers: Box[][] = []
  for (const [name, table] of byName) {
    const shown = table.columns.slice(0, mostColumns)
    const texts = [table.name, ...shown.map((column) => columnText(column).join('  '))]
    const width = Math.min(longest, Math.max(...texts.map((text) => text.length))) * charWidth + 28
    const lines = shown.length + (shown.length < table.columns.length ? 1 : 0)
    const box = { table, shown, width, height: headHeight + lines * lineHeight + 8, x: 0, y: 0 }
    boxes.set(name, box)
    const depth = depthOf(name, [])
    layers[depth] = [...(layers[depth] ?? []), box]
  }
  let x = 12
  for (const layer of layers.filter(Boolean)) {
    // A layer of many tables becomes several columns.
    const perColumn = Math.max(1, Math.ceil(layer.length / Math.ceil(layer.length / 6)))
    for (let from = 0; from < layer.length; from += perColumn) {
      const column = layer.slice(from, from + perColumn)
      let y = 12
      for (const box of column) {
        Object.assign(box, { x, y })
        y += box.height + gapY
      }
      x += Math.max(...column.map((box) => box.width)) + gapX
    }
  }
  return boxes
}

function columnText({ name, type, key }: CatalogColumn): readonly [string, string] {
  return [`${key > 0 ? '● ' : ''}${cut(name, 22)}`, cut(type.toLowerCase(), 12)]
}

const cut = (text: string, length: number) => (text.length > length ? `${text.slice(0, length - 1)}…` : text)

function boxOf({ table, shown, width, height, x, y }: Box, onOpen: (table: string) => void): SVGElement {
  const lines = shown.flatMap((column, at) => {
    const [name, type] = columnText(column)
    const top = headHeight + at * lineHeight + 18
    return [
      svg('text', { x: 10, y: top, class: column.key > 0 ? 'key' : '' }, name),
      svg('text', { x: width - 10, y: top, class: 'type' }, type),
    ]
  })
  const more = table.columns.length - shown.length
  if (more > 0) {
    const y = headHeight + shown.length * lineHeight + 18
    lines.push(svg('text', { x: 10, y, class: 'type start' }, `${more} more`))
  }
  const group = svg(
    'g',
    { transform: `translate(${x} ${y})`, class: 'box' },
    svg('title', {}, table.name),
    svg('rect', { width, height, rx: 6, class: 'frame' }),
    svg('path', { d: `M0 6a6 6 0 0 1 6-6h${width - 12}a6 6 0 0 1 6 6v${headHeight - 6}h${-width}z`, class: 'head' }),
    svg('text', { x: 10, y: 19, class: 'name' }, cut(table.name, longest)),
    ...lines,
  )
  group.addEventListener('click', () => onOpen(table.name))
  return group
}

/** A line from the column of a foreign key to the column that it refers to. */
function edge(
  boxes: ReadonlyMap<string, Box>,
  from: Box,
  key: TableReference,
): { readonly line: SVGElement; readonly end: SVGElement } | undefined {
  const to = boxes.get(key.table.toLowerCase())
  if (to === undefined) return undefined
  const start = { x: from.x, y: lineOf(from, key.from[0]) }
  const target = key.to[0] ?? to.table.columns.find((column) => column.key > 0)?.name
  const isRight = to.x + to.width <= from.x
  const end = { x: isRight ? to.x + to.width : to.x, y: lineOf(to, target) }
  const bend = Math.max(30, Math.abs(start.x - end.x) / 2)
  const path = `M${start.x} ${start.y}C${start.x - bend} ${start.y} ${end.x + (isRight ? bend : -bend)} ${end.y} ${end.x} ${end.y}`
  const title = `${from.table.name}.${key.from.join(', ')} → ${key.table}`
  return {
    line: svg('path', { d: path, class: 'edge' }, svg('title', {}, title)),
    end: svg('circle', { cx: end.x, cy: end.y, r: 3.5, class: 'end' }),
  }
}

function lineOf(box: Box, column: string | undefined): number {
  const at = box.shown.findIndex(({ name }) => name.toLowerCase() === column?.toLowerCase())
  return box.y + (at < 0 ? headHeight / 2 : headHeight + at * lineHeight + 13)
}
