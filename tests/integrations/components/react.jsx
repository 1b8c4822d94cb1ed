// The app under test in React. Each framework's module has the same exports: mount, hydrate and render (on a server).
import { eq } from 'drizzle-orm'
import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import { drizzle } from 'drizzle-orm/sqlite-proxy'
import { DummyDriver, Kysely, SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler } from 'kysely'
import { Activity, Component, StrictMode, useState, useTransition } from 'react'
import { flushSync } from 'react-dom'
import { createRoot, hydrateRoot } from 'react-dom/client'
import { sql } from 'tidelock'
import {
  DatabaseProvider,
  useDatabase,
  useLiveQuery,
  useLock,
  useMutation,
  useSuspenseDatabase,
  useSuspenseLiveQuery,
  useSyncStatus,
} from 'tidelock/react'

function Todos({ list, sql, keepPreviousRows, initial }) {
  const db = useDatabase()
  const { rows, error, loading } = useLiveQuery(sql, sql ? [list] : undefined, { keepPreviousRows, initial })
  const add = useMutation((db, title) => db.run('INSERT INTO todos (list, title) VALUES (?, ?)', [list, title]))
  const sync = useSyncStatus()
  const lock = useLock()
  return (
    <section>
      <output className="state">{loading ? 'loading' : (error?.code ?? 'ready')}</output>
      <output className="database">{db?.name ?? 'none'}</output>
      <output className="lock">{`${lock.role ?? 'none'} ${lock.error?.code ?? lock.state}`}</output>
      <output className="sync">
        {sync.loading ? 'unknown' : `${sync.phase} ${sync.pending} ${sync.error?.code ?? ''}`}
      </output>
      <output className="mutation">{add.pending ? 'pending' : (add.error?.code ?? add.data?.changes ?? 'idle')}</output>
      <ul>
        {rows.map((row) => (
          <li key={row.id}>{row.title}</li>
        ))}
      </ul>
      <button type="button" className="add" onClick={() => add.mutate('added')}>
        Add
      </button>
      <button type="button" className="reset" onClick={add.reset}>
        Reset
      </button>
    </section>
  )
}

function SuspendedTodos({ sql, list }) {
  const db = useSuspenseDatabase()
  const { rows } = useSuspenseLiveQuery(sql, [list])
  return (
    <section>
      <output className="state">ready</output>
      <output className="database">{db.name}</output>
      <ul>
        {rows.map((row) => (
          <li key={row.id}>{row.title}</li>
        ))}
      </ul>
    </section>
  )
}

function ThrowingTodos({ sql, list }) {
  const { rows } = useLiveQuery(sql, [list], { throwOnError: true })
  return <output className="state">{rows.length}</output>
}

const kysely = new Kysely({
  dialect: {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  },
})
const drizzleTodos = sqliteTable('todos', { key: integer('id'), folder: text('list'), title: text() })
const drizzleDatabase = drizzle(() => Promise.reject(new Error('The live query runs it')), {
  schema: { todos: drizzleTodos },
})

/** The same query in each form, made again in each render. */
function BuilderTodos({ list }) {
  const queries = [
    sql`SELECT title FROM todos WHERE list = ${list}`,
    kysely.selectFrom('todos').select('title').where('list', '=', list),
    kysely.selectFrom('todos').select('title').where('list', '=', list).compile(),
    drizzleDatabase.select({ title: drizzleTodos.folder }).from(drizzleTodos).where(eq(drizzleTodos.folder, list)),
    drizzleDatabase.query.todos.findFirst({ where: eq(drizzleTodos.folder, list) }),
  ]
  // biome-ignore lint/correctness/useHookAtTopLevel: there is always the same number of them
  const results = queries.map((query) => useLiveQuery(query))
  const titles = results.flatMap(({ rows }, form) => rows.map(({ title }, row) => ({ title, key: `${form} ${row}` })))
  return (
    <ul>
      {titles.map(({ title, key }) => (
        <li key={key}>{title}</li>
      ))}
    </ul>
  )
}

/** Parameters that can't be told from each other by their texts. */
function ManyKinds() {
  const values = [1, 1n, '1', true, new Uint8Array([1]), new Uint8Array([1]).buffer, new Date(1), null, 'null']
  // biome-ignore lint/correctness/useHookAtTopLevel: there is always the same number of them
  const results = values.map((value) => useLiveQuery('SELECT typeof(?) || quote(?1) AS shown', [value]))
  return <output className="state">{results.map(({ rows }) => rows[0]?.shown).join(' ')}</output>
}

class Boundary extends Component {
  state = {}

  static getDerivedStateFromError(error) {
    return { error }
  }

  render() {
    const { error } = this.state
    if (error === undefined) return this.props.children
    return (
      <>
        <output className="boundary">{`${error.code}: ${error.hint}`}</output>
        <button type="button" className="again" onClick={() => this.setState({ error: undefined })}>
          Again
        </button>
      </>
    )
  }
}

function HiddenTodos({ hidden, ...props }) {
  return (
    <Activity mode={hidden ? 'hidden' : 'visible'}>
      <Todos {...props} />
    </Activity>
  )
}

const kinds = {
  builders: BuilderTodos,
  values: ManyKinds,
  plain: Todos,
  hidden: HiddenTodos,
  suspended: SuspendedTodos,
  throwing: ThrowingTodos,
}

/** `outside`: no provider; `copies`: how many of the component; `kind`: which. */
function App({ outside = false, copies = 1, kind = 'plain', setUpdate, ...initial }) {
  const [{ source, ...props }, setProps] = useState(initial)
  const [isPending, startTransition] = useTransition()
  setUpdate?.((next, { transition = false } = {}) => {
    if (transition) startTransition(() => setProps((props) => ({ ...props, ...next })))
    else flushSync(() => setProps((props) => ({ ...props, ...next })))
  })
  const Kind = kinds[kind]
  const keys = Array.from({ length: copies }, (_, index) => `copy ${index}`)
  const content = keys.map((key) => <Kind key={key} {...props} />)
  return (
    <Boundary>
      {outside ? (
        content
      ) : (
        <DatabaseProvider {...source} fallback={<output className="fallback">waiting</output>}>
          {content}
        </DatabaseProvider>
      )}
      <output className="pending">{String(isPending)}</output>
    </Boundary>
  )
}

const appOf = (props) => (
  <StrictMode>
    <App {...props} />
  </StrictMode>
)

export function mount(target, props) {
  const handle = {}
  const root = createRoot(target, { onCaughtError() {} })
  root.render(appOf({ ...props, setUpdate: (update) => Object.assign(handle, { update }) }))
  return Object.assign(handle, { unmount: () => root.unmount() })
}

export function hydrate(target, props, onProblem) {
  const root = hydrateRoot(target, appOf(props), { onRecoverableError: (error) => onProblem(String(error)) })
  return { unmount: () => root.unmount() }
}

export async function render(props) {
  const { renderToString } = await import('react-dom/server')
  return renderToString(appOf(props))
}
