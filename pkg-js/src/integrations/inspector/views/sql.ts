// SQL: an editor, the rows of a statement page by page, and its query plan as a tree.
import type { PlanRow, SqlResultValue } from '../../../index.js'
import { columnsIfReadable, listTables } from '../catalog.js'
import type { Context } from '../context.js'
import { valueDialog } from '../dialog.js'
import { action, download, empty, fill, h, loading } from '../dom.js'
import type { Editor } from '../editor.js'
import { count, hex, millis, plural } from '../format.js'
import { grid } from '../grid.js'
import { problem } from '../problem.js'
import { runStatement, type StatementResult } from '../statement.js'

const pageRows = 100
const keptStatements = 50

export function sqlView(context: Context): HTMLElement {
  const { db, signal, memory } = context
  const host = h('div', { class: 'editor' }, h('p', { class: 'soft' }, 'Loading the editor…'))
  const outcome = h('div', { class: 'outcome', 'aria-live': 'polite' })
  const past = h('select', { 'aria-label': 'Statements', onchange: () => recall() })
  let editor: Editor | undefined

  function remember(sql: string): void {
    const statements = [sql, ...earlier(memory, db.name).filter((one) => one !== sql)].slice(0, keptStatements)
    memory.set('statements', statements)
    try {
      sessionStorage.setItem(storageKey(db.name), JSON.stringify(statements))
    } catch {
      // Pages without storage keep them as long as the panel is open.
    }
    showPast()
  }

  function showPast(): void {
    const statements = offered()
    fill(
      past,
      h('option', { value: '' }, statements.length > 0 ? 'Earlier statements' : 'No statements yet'),
      ...statements.map((sql, at) => h('option', { value: String(at) }, sql.replaceAll(/\s+/g, ' ').slice(0, 80))),
    )
  }

  /** The earlier statements, then those of the page. */
  function offered(): string[] {
    const statements = earlier(memory, db.name)
    return [...statements, ...context.statements.filter((sql) => !statements.includes(sql))]
  }

  function recall(): void {
    const sql = offered()[Number(past.value)]
    if (past.value !== '' && sql !== undefined) editor?.replace(sql)
    past.value = ''
    editor?.focus()
  }

  /** Runs work on the text of the editor, and shows its error with the place. */
  async function withText(work: (sql: string) => Promise<void>): Promise<void> {
    const sql = editor?.text() ?? ''
    if (sql.trim() === '') return
    fill(outcome, loading('Running…'))
    try {
      await work(sql)
    } catch (error) {
      if (!signal.aborted) fill(outcome, problem(error, sql))
    }
  }

  const run = () =>
    withText(async (sql) => {
      remember(sql)
      const result = await runStatement(db, sql, signal)
      fill(outcome, result.isScript ? empty(`The script ran in ${millis(result.ms)}.`) : resultOf(context, result))
    })
  const explain = () =>
    withText(async (sql) => {
      const plan = await db.explain(sql, undefined, { signal })
      fill(outcome, h('h3', {}, 'Query plan'), plan.length > 0 ? planTree(plan) : empty('Nothing to plan.'))
    })

  async function load(): Promise<void> {
    const { createEditor } = await import('../editor.js')
    if (signal.aborted) return
    fill(host)
    const text = (memory.get('sql') as string | undefined) ?? offered()[0] ?? ''
    editor = createEditor(context.host.getRootNode() as ShadowRoot, host, text, () => void run())
    signal.addEventListener('abort', () => {
      memory.set('sql', editor?.all())
      editor?.close()
    })
    await showSchema()
  }

  async function showSchema(): Promise<void> {
    const tables = await listTables(db, signal)
    const schema: Record<string, string[]> = {}
    for (const { name } of tables)
      schema[name] = (await columnsIfReadable(db, name, signal)).map((column) => column.name)
    editor?.setSchema(schema)
  }

  showPast()
  void context.run(load)
  return h(
    'div',
    { class: 'stack' },
    host,
    h(
      'div',
      { class: 'bar' },
      action('Run', run, context.fail, { class: 'primary' }),
      action('Explain', explain, context.fail),
      h('span', { class: 'soft hint' }, 'Ctrl + Enter runs the selection, or everything'),
      h('span', { class: 'space' }),
      past,
    ),
    outcome,
  )
}

const storageKey = (name: string) => `tidelock-inspector/${name}`

function earlier(memory: Context['memory'], name: string): string[] {
  if (!memory.has('statements')) {
    let stored: unknown
    try {
      stored = JSON.parse(sessionStorage.getItem(storageKey(name)) ?? '[]')
    } catch {
      stored = []
    }
    memory.set('statements', Array.isArray(stored) ? stored.filter((one) => typeof one === 'string') : [])
  }
  return memory.get('statements') as string[]
}

/** The rows of a statement, page by page. */
function resultOf(context: Context, { columns, rows, isCut, ms }: StatementResult): HTMLElement {
  const area = h('div')
  const pager = h('span', { class: 'buttons' })
  function show(page: number): void {
    const first = page * pageRows
    fill(
      area,
      grid({
        label: 'Result',
        columns: columns.map((name) => ({ name })),
        rows: rows.slice(first, first + pageRows),
        empty: 'The statement gave no rows.',
        onOpen: ({ row, column }) =>
          valueDialog(context.host, columns[column] ?? '', rows[first + row]?.[column] ?? null),
      }),
    )
    const turn = (label: string, to: number, disabled: boolean) =>
      h('button', { type: 'button', disabled, onclick: () => show(to) }, label)
    const last = Math.min(rows.length, first + pageRows)
    fill(
      pager,
      rows.length > pageRows && h('span', { class: 'summary' }, `${count(first + 1)}–${count(last)}`),
      rows.length > pageRows && turn('← Previous', page - 1, page === 0),
      rows.length > pageRows && turn('Next →', page + 1, last >= rows.length),
    )
  }
  show(0)
  const summary = `${plural(rows.length, 'row')} in ${millis(ms)}${isCut ? ', there are more' : ''}`
  return h(
    'div',
    { class: 'stack' },
    h(
      'div',
      { class: 'bar' },
      h('span', { class: 'summary' }, summary),
      h('span', { class: 'space' }),
      pager,
      columns.length > 0 &&
        h('button', { type: 'button', onclick: () => download('result.csv', csvOf(columns, rows)) }, 'Download CSV'),
    ),
    area,
  )
}

function csvOf(columns: readonly string[], rows: StatementResult['rows']): Blob {
  const field = (value: SqlResultValue | string) => {
    const text = value === null ? '' : value instanceof Uint8Array ? `x'${hex(value)}'` : String(value)
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
  }
  const lines = [columns, ...rows].map((row) => row.map(field).join(','))
  return new Blob([`${lines.join('\r\n')}\r\n`], { type: 'text/csv' })
}

/** A query plan as a tree of its steps. */
export function planTree(plan: readonly PlanRow[], parent = 0): HTMLElement {
  const steps = plan.filter((step) => step.parent === parent)
  return h(
    'ul',
    { class: 'plan' },
    ...steps.map((step) => {
      const isScan = /^SCAN /.test(step.detail) && !/USING .*INDEX|VIRTUAL TABLE|CONSTANT ROW/.test(step.detail)
      const inner = plan.some((other) => other.parent === step.id) && planTree(plan, step.id)
      const note = isScan && h('span', { class: 'badge', title: 'It reads every row' }, 'full scan')
      return h('li', {}, h('code', {}, step.detail), ' ', note, inner)
    }),
  )
}
