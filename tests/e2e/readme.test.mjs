// The README's example, as it stands there: what its comments promise is what the page prints.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { suite } from './harness.mjs'

const README = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')

const context = suite()

test('the twenty lines of the README do what they say', async () => {
  const [, example] = README.match(/```ts\n([\s\S]*?)```/)
  const promised = [...example.matchAll(/console\.log\(.*?\) \/\/ (.*)/g)].map(([, comment]) => comment)
  assert.ok(promised.length >= 2, 'the example shows what it prints')
  const page = await context.page()
  const printed = await page.evaluate(async (code) => {
    const lines = []
    const log = console.log
    console.log = (value) => lines.push(value)
    // The one thing that a bundler would do: give the import its place.
    const body = code.replace(/import (\{[^}]*\}) from 'tidelock'/, 'const $1 = window.tidelock')
    const AsyncFunction = (async () => {}).constructor
    await new AsyncFunction(body)().finally(() => {
      console.log = log
    })
    return lines
  }, example)
  assert.deepEqual(
    printed,
    promised.map((text) => new Function(`return ${text}`)()),
  )
  await page.close()
})
