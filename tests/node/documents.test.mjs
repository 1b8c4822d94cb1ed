// Every code block of README.md and docs/ runs unchanged, at least twice in a row, against a real remote.
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import * as tidelock from '../../pkg-js/dist/index.js'
import { control } from '../remote/control.mjs'
import { startRemote } from '../remote/index.mjs'
import { PostgrestClient } from '../remote/node_modules/@supabase/postgrest-js/dist/index.mjs'
import { remoteFacade } from '../scenarios/run/remote.mjs'
import { runCommand } from './command-line.mjs'
import { blocksOf, blocksOfDocuments, runBlock, textOf } from './documents/blocks.mjs'
import { examples } from './documents/examples.mjs'

const base = mkdtempSync(path.join(tmpdir(), 'tidelock-documents-'))
let server
let controlled
before(async () => {
  server = await startRemote()
  controlled = control(server)
})
after(async () => {
  await server?.stop()
  rmSync(base, { recursive: true, force: true })
})

const blocks = blocksOfDocuments()

test('each block has its example, and each example its block', () => {
  assert.deepEqual(blocks.map(({ id }) => id).sort(), Object.keys(examples).sort())
})

test('blocks are found by file, heading and number', () => {
  const fence = '```'
  const text = `# One\n${fence}ts\na()\n${fence}\n${fence}\nno code\n${fence}\n${fence}js\n# no heading\n${fence}\n## Two\n${fence}sh\nb\n${fence}`
  assert.deepEqual(
    blocksOf('x.md', text).map(({ id, code }) => [id, code]),
    [
      ['x.md: One', 'a()\n'],
      ['x.md: One (2)', '# no heading\n'],
      ['x.md: Two', 'b\n'],
    ],
  )
})

for (const [index, block] of blocks.entries()) {
  const example = examples[block.id]
  if (typeof example === 'function') test(block.id, { timeout: 60_000 }, () => play(block, example, index))
  else if (example !== undefined)
    test(`${block.id}: run by ${example.elsewhere}, since ${example.because}`, () => {
      const [, heading] = block.id.split(': ')
      if (example.elsewhere.startsWith('tests/e2e/')) assert.ok(textOf(example.elsewhere).includes(heading))
    })
}

/** Runs an example, which runs its block. */
async function play({ code }, example, index) {
  controlled.fresh()
  const folder = path.join(base, `example ${index}`)
  mkdirSync(folder)
  const remote = remoteFacade(controlled.facts, controlled.call)
  const fillIn = { 'https://<project>.supabase.co': remote.url, '<publishable key>': remote.publishableKey }
  const opened = []
  const open = async ({ name, ...options }) => {
    const stored = options.storage === 'memory' ? {} : { storage: 'file', path: path.join(folder, name) }
    const db = await tidelock.open({ name: name ?? 'scratch', ...stored, onWarning() {}, ...options })
    opened.push(db)
    return db
  }
  let runs = 0
  const lines = []
  const console = { log: (line) => lines.push(line) }
  /** Runs the block with these names in scope; `look` gets the `results` at its end. Then closes what the block opened. */
  const run = async (scope = {}, results = [], look = () => {}) => {
    const before = opened.length
    await look(await runBlock(code, fillIn, { ...tidelock, open, console, ...scope }, results))
    for (const db of opened.splice(before)) await db.close()
    runs++
  }
  /** Runs the lines of a block of commands → the output of each. */
  const runCommands = async () => {
    const outputs = []
    for (const line of code.trim().split('\n')) {
      const [, command] = /^npx tidelock (.*?)\s*(?:#.*)?$/.exec(line)
      const words = [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, word]) => quoted ?? word)
      const { code: ended, out, err } = await runCommand(words, { cwd: folder })
      assert.equal(ended, 0, `${line}: ${err}`)
      outputs.push(out + err)
    }
    runs++
    return outputs
  }
  try {
    await example({
      run,
      runCommands,
      code,
      open,
      remote,
      folder,
      tidelock,
      /** The output of the block since the last call. */
      printed: () => lines.splice(0),
      /** Writes a file that the commands need. */
      write(file, text) {
        mkdirSync(path.dirname(path.join(folder, file)), { recursive: true })
        writeFileSync(path.join(folder, file), text)
      },
      deleteFolder: (name) => rmSync(path.join(folder, name), { recursive: true }),
      supabaseClient: (token) =>
        new PostgrestClient(`${remote.url}/rest/v1`, {
          headers: { apikey: remote.anonKey, authorization: `Bearer ${token}` },
        }),
      /** Waits until the clock shows another millisecond. */
      async pause() {
        for (const start = Date.now(); Date.now() <= start + 1; ) await new Promise(setImmediate)
      },
    })
  } finally {
    for (const db of opened) await db.close().catch(() => {})
  }
  assert.ok(runs >= 2, 'the block runs at least twice')
}
