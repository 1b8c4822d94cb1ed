// The frame of the inspector: its views as tabs, messages, and the open view.
import type { Database, OpenOptions } from '../../index.js'
import type { Context, MakeView } from './context.js'
import { empty, fill, h, soon } from './dom.js'
import { problem } from './problem.js'
import { createRecorder } from './recorder.js'
import { sheet } from './style.js'
import { healthView } from './views/health.js'
import { historyView } from './views/history.js'
import { migrationsView } from './views/migrations.js'
import { queriesView } from './views/queries.js'
import { schemaView } from './views/schema.js'
import { sqlView } from './views/sql.js'
import { syncView } from './views/sync.js'
import { tablesView } from './views/tables.js'
import { tabsView } from './views/tabs.js'

/** How long a message stays, in milliseconds. */
const messageMs = 4000

const views: Readonly<Record<string, { readonly title: string; readonly make: MakeView }>> = {
  tables: { title: 'Tables', make: tablesView },
  sql: { title: 'SQL', make: sqlView },
  schema: { title: 'Schema', make: schemaView },
  migrations: { title: 'Migrations', make: migrationsView },
  history: { title: 'History', make: historyView },
  sync: { title: 'Sync', make: syncView },
  queries: { title: 'Queries', make: queriesView },
  tabs: { title: 'Lock and tabs', make: tabsView },
  health: { title: 'Health', make: healthView },
}

export interface PanelOptions {
  readonly database: Database
  readonly wasm: OpenOptions['wasm']
  readonly statements: readonly string[]
  readonly view: string
  /** Called when the user opens another view. */
  onView(view: string): void
}

export interface Panel {
  open(view: string): void
  close(): void
}

export function createPanel(
  root: ShadowRoot,
  { database: db, wasm, statements, view: first, onView }: PanelOptions,
): Panel {
  root.adoptedStyleSheets = [sheet()]
  const recorder = createRecorder(db)
  const memory = new Map<string, unknown>()
  const message = h('div', { class: 'message', role: 'status' })
  const body = h('div', { class: 'body', role: 'tabpanel', id: 'view', tabIndex: -1 })
  const tabs = new Map(
    Object.entries(views).map(([id, { title }]) => {
      const props = { type: 'button', role: 'tab', id: `tab-${id}`, 'aria-controls': 'view', onclick: () => go(id) }
      return [id, h('button', props, title)]
    }),
  )
  const list = h('div', { class: 'tabs', role: 'tablist', 'aria-label': `Inspector of ${db.name}` }, ...tabs.values())
  list.addEventListener('keydown', moveByKeys)
  const host = h('div', { class: 'inspector' }, list, body, message)
  root.replaceChildren(host)

  let leave = new AbortController()
  let shown = ''
  let timer: ReturnType<typeof setTimeout> | undefined

  function show(address: string): void {
    const [id = '', parameter] = address.split('/', 2).map(decoded)
    const known = Object.hasOwn(views, id) ? id : 'tables'
    leave.abort(new DOMException('The view was left', 'AbortError'))
    leave = new AbortController()
    shown = address
    for (const [name, tab] of tabs) {
      tab.setAttribute('aria-selected', String(name === known))
      tab.tabIndex = name === known ? 0 : -1
    }
    tabs.get(known)?.scrollIntoView({ block: 'nearest', inline: 'nearest' })
    body.setAttribute('aria-labelledby', `tab-${known}`)
    body.dataset.view = known
    fill(message)
    const make = views[known]?.make ?? tablesView
    fill(body, db.closed ? empty('This database is closed.') : make(contextOf(parameter, leave.signal)))
    body.scrollTop = 0
  }

  function go(address: string): void {
    if (address === shown) return
    show(address)
    onView(address)
  }

  function contextOf(parameter: string | undefined, signal: AbortSignal): Context {
    const fail = (error: unknown) => {
      if (!signal.aborted) fill(message, problem(error), closeButton())
    }
    const run = async (work: () => unknown) => {
      try {
        await work()
      } catch (error) {
        fail(error)
      }
    }
    const notify = (text: string) => {
      if (signal.aborted) return
      fill(message, text)
      clearTimeout(timer)
      timer = setTimeout(() => message.textContent === text && fill(message), messageMs)
    }
    const watch = (work: () => Promise<void>) => {
      // One run at a time: a change during a run causes one more.
      let running: Promise<void> | undefined
      let isOutdated = false
      const again = () => {
        if (signal.aborted || db.closed) return
        if (running !== undefined) {
          isOutdated = true
          return
        }
        isOutdated = false
        running = run(work).finally(() => {
          running = undefined
          if (isOutdated) again()
        })
      }
      db.addEventListener('change', soon(again), { signal })
      again()
    }
    return { db, wasm, statements, recorder, parameter, signal, memory, host, notify, fail, run, watch, go }
  }

  function closeButton(): HTMLElement {
    return h('button', { type: 'button', class: 'quiet', onclick: () => fill(message) }, 'Dismiss')
  }

  function moveByKeys(event: KeyboardEvent): void {
    const all = [...tabs.values()]
    const at = all.indexOf(event.target as HTMLButtonElement)
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key]
    if (at < 0 || next === undefined) return
    event.preventDefault()
    const tab = all[(next + all.length) % all.length]
    tab?.click()
    tab?.focus()
  }

  db.addEventListener('close', () => fill(message, 'The database was closed.'), { once: true })
  show(first)
  return {
    open(view) {
      if (view !== shown) show(view)
    },
    close() {
      leave.abort(new DOMException('The inspector was closed', 'AbortError'))
      recorder.stop()
      root.replaceChildren()
    },
  }
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}
