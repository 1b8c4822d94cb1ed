// What people see of an uncaught error: in Node's terminal, and in Chromium's console, also through React.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { chromium, shellPath } from '../e2e/browser.mjs'
import { serve } from '../e2e/serve.mjs'

const entry = fileURLToPath(new URL('../../pkg-js/dist/index.js', import.meta.url))
const failing = `
  import { open } from ${JSON.stringify(entry)}
  const db = await open({ name: 'x', storage: 'memory' })
`
const seen = (program) =>
  spawnSync(process.execPath, ['--input-type=module', '--eval', failing + program], {
    encoding: 'utf8',
    timeout: 60_000,
  })

test("Node's terminal shows the code, the message, the hint and the frames, each once at the head of the stack", () => {
  const { status, stderr } = seen("await db.query('SELECT :titel', { title: 'secret' })")
  assert.equal(status, 1, stderr)
  const head =
    /TidelockError \[invalid_argument\]: Parameter :titel is missing\n {2}hint: The statement has :titel, .*\n {4}at /
  assert.match(stderr, head)
  assert.equal(stderr.split('Parameter :titel is missing').length, 2, stderr)
  assert.ok(!stderr.includes('secret'), stderr)
})

test('message and toString stay without the hint, and loops over the properties find no stack', () => {
  const { stdout, stderr } = seen(`
    const error = await db.query('nonsense').catch((error) => error)
    console.log(JSON.stringify([error.message, String(error), error.stack, 'stack' in { ...error }]))
  `)
  const [message, text, stack, isEnumerable] = JSON.parse(stdout || assert.fail(stderr))
  assert.equal(message, 'near "nonsense": syntax error')
  assert.equal(text, `TidelockError: ${message}`)
  assert.ok(stack.startsWith(`TidelockError [sqlite_error]: ${message}\n  hint: `), stack)
  assert.equal(isEnumerable, false)
})

let server, browser
before(async () => {
  const app = `
    import React from 'react'
    import { createRoot } from 'react-dom/client'
    class Boundary extends React.Component {
      state = {}
      static getDerivedStateFromError(error) { return { error } }
      render() { return this.state.error ? React.createElement('pre', null, this.state.error.stack) : this.props.children }
    }
    export function show(error) {
      const Failing = () => { throw error }
      const inside = React.createElement(Boundary, null, React.createElement(Failing))
      createRoot(document.querySelector('main')).render(inside)
    }
  `
  const { outputFiles } = await build({
    stdin: { contents: app, resolveDir: fileURLToPath(new URL('.', import.meta.url)) },
    bundle: true,
    format: 'esm',
    define: { 'process.env.NODE_ENV': '"development"' },
    write: false,
  })
  server = await serve({
    folders: { '/tidelock/': fileURLToPath(new URL('.', `file://${entry}`)) },
    files: { '/index.html': '<!doctype html><main></main>', '/app.js': outputFiles[0].text },
  })
  browser = await chromium.launch({ executablePath: shellPath() })
})
after(async () => {
  await browser?.close()
  await server?.close()
})

const hint = '\n    at sqlite_error, hint: Compare the statement with the schema'
/** What the console prints in place of the first line of the stack. */
const head = `TidelockError: near "nonsense": syntax error${hint}`

test("Chromium's console shows the code, the message and the hint of an uncaught error", async () => {
  const page = await browser.newPage()
  const session = await page.context().newCDPSession(page)
  await session.send('Runtime.enable')
  const shown = new Promise((resolve) =>
    session.on('Runtime.exceptionThrown', ({ exceptionDetails }) => resolve(exceptionDetails.exception.description)),
  )
  await page.goto(server.url)
  await page.evaluate(async () => {
    const { open } = await import('/tidelock/index.js')
    const db = await open({ name: 'x', storage: 'memory' })
    void db.query('nonsense')
  })
  const description = await shown
  assert.ok(description.startsWith(head), description)
  assert.equal(description.split('near "nonsense"').length, 2, description)
  await page.close()
})

test("React's error boundary and its message in the console show them, too", async () => {
  const page = await browser.newPage()
  const logged = []
  page.on('console', (message) => logged.push(message.text()))
  await page.goto(server.url)
  await page.evaluate(async () => {
    const [{ open }, { show }] = await Promise.all([import('/tidelock/index.js'), import('/app.js')])
    const db = await open({ name: 'x', storage: 'memory' })
    show(await db.query('nonsense').catch((error) => error))
  })
  const text = await page.locator('pre').textContent()
  assert.ok(text.startsWith(`TidelockError [sqlite_error]: near "nonsense": syntax error${hint}`), text)
  assert.ok(
    logged.some((line) => line.includes(head)),
    logged.join('\n'),
  )
  await page.close()
})
