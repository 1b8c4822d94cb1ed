// Runs the code of the playground in this page, with the exports of the package in scope.

const AsyncFunction = (async () => {}).constructor

/** `packageUrl` is the folder of the built package, `errorUrl(code)` the page of an error, `log(line)` shows a line of the output. */
export function createRunner({ packageUrl, errorUrl, log }) {
  const opened = new Set()
  let loading

  /** The package and its remote in memory, loaded by the first run. */
  function load() {
    loading ??= Promise.all(
      ['index.js', 'integrations/testing/index.js'].map(
        (file) => import(/* @vite-ignore */ new URL(`${packageUrl}${file}`, location.href).href),
      ),
    ).catch((error) => {
      loading = undefined
      throw error
    })
    return loading
  }

  /** Runs the code → `'done'` or `'failed'`. The databases that it opens stay open, for live queries, until the next run. */
  async function run(code) {
    await stop()
    try {
      const [tidelock, { fakeRemote }] = await load()
      const open = async (options) => {
        const db = await tidelock.open({
          onWarning: ({ message }) => print('note', [message]),
          ...ofPlayground(options),
        })
        opened.add(db)
        return db
      }
      const console = {
        ...globalThis.console,
        ...Object.fromEntries(
          ['log', 'info', 'warn', 'table'].map((name) => [name, (...values) => print('log', values)]),
        ),
        error: (...values) => print('error', values),
      }
      const named = Object.fromEntries(
        ['deleteDatabase', 'recover', 'moveStorage', 'lastRows'].map((call) => [
          call,
          (first, ...rest) => tidelock[call](ofPlayground(first), ...rest),
        ]),
      )
      const scope = { ...tidelock, ...named, databases: () => stored(tidelock), fakeRemote, open, console }
      const body = code.replace(/^\s*import\s+\{[^}]*\}\s+from\s+['"]tidelock(?:\/testing)?['"];?\s*$/gm, '')
      // In a block of its own, the code may declare the names in scope again.
      await new AsyncFunction(...Object.keys(scope), `{\n${body}\n}`)(...Object.values(scope))
      return 'done'
    } catch (error) {
      print('error', [error])
      return 'failed'
    }
  }

  /** Closes what the last run opened. */
  async function stop() {
    const all = [...opened]
    opened.clear()
    await Promise.allSettled(all.map((db) => db.close()))
  }

  /** Deletes all databases of the playground → their names. */
  async function reset() {
    await stop()
    const [tidelock] = await load()
    const names = (await stored(tidelock)).map(({ name }) => name)
    for (const name of names) await tidelock.deleteDatabase(ofPlayground(name), { force: true })
    return names
  }

  function print(kind, values) {
    log({ kind, parts: values.flatMap((value) => partsOf(value, errorUrl)) })
  }

  return { run, stop, reset }
}

/** Before the names of the playground's databases: other pages of this origin may have databases, too. */
const prefix = 'playground/'

/** A name, or options with a name, with the prefix. */
function ofPlayground(given) {
  if (typeof given === 'string') return `${prefix}${given}`
  return typeof given?.name === 'string' ? { ...given, name: `${prefix}${given.name}` } : given
}

/** The databases of the playground, without the prefix. */
async function stored({ databases }) {
  const all = (await databases()).filter(({ name }) => name.startsWith(prefix))
  return all.map((one) => ({ ...one, name: one.name.slice(prefix.length) }))
}

/** What is shown of a value: text, a table of rows, or an error with its hint and its page. */
function partsOf(value, errorUrl) {
  if (typeof value === 'string') return [{ text: value }]
  if (value instanceof Error) {
    const { name, code, message, hint } = value
    if (name !== 'TidelockError') return [{ text: `${name}: ${message}` }]
    return [
      { text: message },
      { text: code, href: errorUrl(code) },
      ...(hint === undefined ? [] : [{ text: `\n${hint}` }]),
    ]
  }
  if (isRows(value)) {
    const columns = [...new Set(value.flatMap((row) => Object.keys(row)))]
    return [{ columns, rows: value.map((row) => columns.map((column) => shown(row[column]))) }]
  }
  return [{ text: shown(value) }]
}

function isRows(value) {
  const isRow = (row) => row !== null && typeof row === 'object' && Object.getPrototypeOf(row) === Object.prototype
  return Array.isArray(value) && value.length > 0 && value.every(isRow)
}

function shown(value) {
  if (value === undefined) return ''
  if (typeof value === 'string') return value
  if (typeof value === 'bigint') return `${value}n`
  if (value instanceof Uint8Array) return `${value.length} bytes: ${Array.from(value.subarray(0, 12), hex).join(' ')} …`
  if (typeof value === 'function') return '[function]'
  try {
    return JSON.stringify(value, (_, inner) => (typeof inner === 'bigint' ? `${inner}n` : inner), 2)
  } catch {
    return String(value)
  }
}

function hex(byte) {
  return byte.toString(16).padStart(2, '0')
}
