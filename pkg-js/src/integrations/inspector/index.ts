// The custom element <tidelock-inspector>: shows and edits an open database. What it shows is loaded when it is connected.
import type { Database, OpenOptions } from '../../index.js'
import type { Panel } from './panel.js'

/** The views of the inspector. */
export type InspectorView =
  | 'tables'
  | 'sql'
  | 'schema'
  | 'migrations'
  | 'history'
  | 'sync'
  | 'queries'
  | 'tabs'
  | 'health'

/** The elements' base class; on a server, where there is none, a class that nothing makes an element of. */
const Base: typeof HTMLElement = globalThis.HTMLElement ?? (class {} as unknown as typeof HTMLElement)

/**
 * Shows an open database: tables, SQL, schema, migrations, history, sync, live queries, tabs and health. Importing `tidelock/inspector`
 * defines it as `<tidelock-inspector>`. It uses the public API only, so that the database may be in this page, a worker or another tab.
 *
 * When the user opens another view, it dispatches `viewchange`. With the attribute `embedded` it has no tabs and no list of tables: the page
 * sets `view`.
 *
 * @example
 * ```ts
 * import 'tidelock/inspector'
 *
 * const inspector = document.createElement('tidelock-inspector')
 * inspector.database = db
 * document.body.append(inspector)
 * ```
 */
export class TidelockInspector extends Base {
  static readonly observedAttributes = ['view']

  /** Statements that the SQL view offers, besides those that were run. A comment at the beginning names one. */
  statements: readonly string[] = []
  /** Where the wasm is, if the app passed that to `open`: the history opens earlier states in memory. */
  wasm: OpenOptions['wasm']
  #database: Database | PromiseLike<Database> | undefined
  #panel: Panel | undefined
  #view = 'tables'
  /** Counts the changes of the database and of the connection to a document: a panel that loads meanwhile is outdated. */
  #attempt = 0

  /** The database to show, or the promise of `open`; null shows none. The element never closes it. */
  get database(): Database | PromiseLike<Database> | null {
    return this.#database ?? null
  }

  set database(database: Database | PromiseLike<Database> | null | undefined) {
    if (this.#database === (database ?? undefined)) return
    this.#database = database ?? undefined
    if (this.isConnected) this.#show()
  }

  /** The open view, an {@link InspectorView}; `tables/orders` is that of a table. The attribute `view` sets it, too. */
  get view(): string {
    return this.#view
  }

  set view(view: string) {
    if (view === this.#view) return
    this.#view = view
    this.#panel?.open(view)
  }

  connectedCallback(): void {
    // A framework may have set the property before this class was defined.
    if (Object.hasOwn(this, 'database')) {
      const { database } = this
      Reflect.deleteProperty(this, 'database')
      this.database = database
    }
    this.#show()
  }

  disconnectedCallback(): void {
    this.#attempt++
    this.#panel?.close()
    this.#panel = undefined
  }

  attributeChangedCallback(_name: string, _before: string | null, view: string | null): void {
    if (view !== null) this.view = view
  }

  #show(): void {
    this.#panel?.close()
    this.#panel = undefined
    const root = this.shadowRoot ?? this.attachShadow({ mode: 'open' })
    root.replaceChildren(note(this.#database === undefined ? 'No database is set.' : 'Loading the inspector…'))
    const attempt = ++this.#attempt
    if (this.#database !== undefined) void this.#load(root, this.#database, attempt)
  }

  async #load(root: ShadowRoot, opening: Database | PromiseLike<Database>, attempt: number): Promise<void> {
    try {
      const [{ createPanel }, database] = await Promise.all([import('./panel.js'), opening])
      if (attempt !== this.#attempt) return
      const onView = (view: string) => {
        this.#view = view
        this.dispatchEvent(new CustomEvent('viewchange', { detail: { view }, bubbles: true, composed: true }))
      }
      this.#panel = createPanel(root, {
        database,
        wasm: this.wasm,
        statements: this.statements,
        view: this.#view,
        onView,
      })
    } catch (error) {
      if (attempt !== this.#attempt) return
      const retry = document.createElement('button')
      retry.textContent = 'Try again'
      retry.addEventListener('click', () => this.#show())
      root.replaceChildren(note(`The inspector couldn’t be loaded: ${(error as Error).message}`, 'alert'), retry)
    }
  }
}

function note(text: string, role = 'status'): HTMLElement {
  const element = document.createElement('p')
  element.setAttribute('role', role)
  element.textContent = text
  return element
}

if (globalThis.customElements !== undefined && customElements.get('tidelock-inspector') === undefined)
  customElements.define('tidelock-inspector', TidelockInspector)

declare global {
  interface HTMLElementTagNameMap {
    'tidelock-inspector': TidelockInspector
  }
}
