// The app under test in Vue: see react.jsx.

import {
  createTidelock,
  provideDatabase,
  useDatabase,
  useLiveQuery,
  useLock,
  useMutation,
  useSyncStatus,
} from 'tidelock/vue'
import { createApp, createSSRApp, defineComponent, effectScope, h, shallowReactive } from 'vue'

const Todos = defineComponent({
  props: ['list', 'sql', 'keepPreviousRows', 'initial'],
  setup(props) {
    const db = useDatabase()
    const { rows, error, loading } = useLiveQuery(
      () => props.sql,
      () => (props.sql ? [props.list] : undefined),
      { keepPreviousRows: props.keepPreviousRows, initial: props.initial },
    )
    const add = useMutation((db, title) => db.run('INSERT INTO todos (list, title) VALUES (?, ?)', [props.list, title]))
    const sync = useSyncStatus()
    const lock = useLock()
    const output = (name, text) => h('output', { class: name }, String(text))
    return () =>
      h('section', [
        output('state', loading.value ? 'loading' : (error.value?.code ?? 'ready')),
        output('database', db.value?.name ?? 'none'),
        output('lock', `${lock.value.role ?? 'none'} ${lock.value.error?.code ?? lock.value.state}`),
        output(
          'sync',
          sync.value.loading ? 'unknown' : `${sync.value.phase} ${sync.value.pending} ${sync.value.error?.code ?? ''}`,
        ),
        output(
          'mutation',
          add.pending.value ? 'pending' : (add.error.value?.code ?? add.data.value?.changes ?? 'idle'),
        ),
        h(
          'ul',
          rows.value.map(({ id, title }) => h('li', { key: id }, title)),
        ),
        h('button', { class: 'add', onClick: () => add.mutate('added') }, 'Add'),
        h('button', { class: 'reset', onClick: add.reset }, 'Reset'),
      ])
  },
})

/** Provides the database to those below it, as the plugin does for the app. */
const Provider = defineComponent({
  props: ['source'],
  setup({ source }, { slots }) {
    provideDatabase(source)
    return () => slots.default()
  },
})

function appOf(create, { source, outside = false, copies = 1, kind, ...initial }) {
  const props = shallowReactive(initial)
  const content = () => Array.from({ length: copies }, (_, key) => h(Todos, { key, ...props }))
  const isComponent = kind === 'component' && !outside
  const app = create({ render: () => (isComponent ? h(Provider, { source }, content) : h('div', content())) })
  if (!outside && !isComponent) app.use(createTidelock(source))
  return { app, props }
}

export function mount(target, given) {
  const show = (error) => {
    target.innerHTML = '<output class="boundary"></output>'
    target.firstChild.textContent = `${error.code}: ${error.hint}`
  }
  try {
    const { app, props } = appOf(createApp, given)
    app.config.errorHandler = show
    app.mount(target)
    return { update: (next) => Object.assign(props, next), unmount: () => app.unmount() }
  } catch (error) {
    show(error)
  }
}

export function hydrate(target, given) {
  const { app } = appOf(createSSRApp, given)
  app.mount(target)
  return { unmount: () => app.unmount() }
}

export async function render(given) {
  const { renderToString } = await import('vue/server-renderer')
  return renderToString(appOf(createSSRApp, given).app)
}

/** Runs a query in an effect scope of an app without a component, as a store of Pinia does. */
export function observeInScope(source, sql, params) {
  const app = createApp({ render: () => h('div') })
  app.use(createTidelock(source))
  const scope = effectScope()
  const { rows } = app.runWithContext(() => scope.run(() => useLiveQuery(sql, params)))
  return { rows, stop: () => scope.stop() }
}
