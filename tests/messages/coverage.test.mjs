// Each message that the sources can make is shown in a golden file, or named in `unshown.mjs` with the reason.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { matches, places, root } from './scan.mjs'
import { passedOn, unshown } from './unshown.mjs'

const golden = readdirSync(join(root, 'tests/messages/golden')).flatMap((name) =>
  readFileSync(join(root, 'tests/messages/golden', name), 'utf8')
    .trim()
    .split('\n\n')
    .map((entry) => {
      const [done, said] = entry.split('\n')
      const [, code, message] = /^([a-z_]+): (.*)$/s.exec(said) ?? []
      const hint = /\n {2}hint: (.*)/.exec(entry)?.[1]
      const cause = /\n {2}cause: (.*)/.exec(entry)?.[1]
      return { at: `${name}, ${done}`, code, message, hint, cause }
    }),
)
const isShown = (template) =>
  golden.some(
    ({ message, cause }) =>
      matches(template, message) || (cause !== undefined && matches(template, cause)) || message.endsWith(template),
  )

for (const language of ['rust', 'typescript']) {
  test(`each message of the ${language} sources is shown, or has a reason not to be`, () => {
    const found = places(language)
    assert.ok(found.length > 100, 'the places are found at all')
    const missing = []
    const used = new Set()
    for (const { file, line, templates, opaque } of found) {
      if (opaque !== undefined) {
        const key = `${file}: ${opaque}`
        if (key in passedOn) used.add(key)
        else
          missing.push(`${file}:${line} passes on a message, ${opaque}: name it in passedOn, and where it comes from`)
      }
      for (const template of templates) {
        if (isShown(template)) continue
        const key = `${file}: ${template}`
        if (key in unshown) used.add(key)
        else missing.push(`${file}:${line} ${template}`)
      }
    }
    assert.deepEqual(missing, [], 'bring them about in a test that shows them (CONTRIBUTING.md), or say why not')
    const folder = language === 'rust' ? 'src/' : 'pkg-js/'
    const stale = [...Object.keys(unshown), ...Object.keys(passedOn)].filter(
      (key) => key.startsWith(folder) && !used.has(key),
    )
    assert.deepEqual(stale, [], 'these are shown by now, or are gone: take them out')
  })
}

test('messages and hints are sentences without a full stop, and nearly all say what to do', () => {
  // SQLite's own words, whose hint is added where JavaScript gets them; and texts that say themselves what is wanted.
  const says = /\b(must|needs?|needs either|is no name|either|gives)\b/
  const silent = []
  for (const { at, code, message, hint } of golden) {
    // What stands behind a colon may be another's words.
    assert.ok(message !== undefined && (!/[^.]\.$/.test(message) || message.includes(': ')), `${at}: ${message}`)
    assert.ok(hint === undefined || !/[^.]\.$/.test(hint), `${at}: ${hint}`)
    if (at.startsWith('native-') && ['sqlite_error', 'sqlite_constraint'].includes(code)) continue
    if (hint === undefined && !says.test(message) && !(at in hintless)) silent.push(`${at}: ${message}`)
  }
  assert.deepEqual(silent, [], 'these say nothing of what to do')
})

/** By their place: why they need no hint. */
const hintless = {
  'native-writing.txt, # a flush that fails': 'the error of the simulated storage',
  'native-migrations.txt, # one that fails': 'the error of the test itself',
  'calls.txt, # parameters for a fragment': 'it says that there is nothing to give',
  'command-line.txt, # a file that is not there': 'the user has given the name',
  'command-line.txt, # an environment that is not there': 'the user has given the name',
  'command-line.txt, # a table that the schema lacks': 'the user has given both',
  'native-meanwhile.txt, # a realtime service that refuses': 'it is a warning, which has no hint',
  'network.txt, # no WebSocket': 'it is a warning, which has no hint',
  'network.txt, # a WebSocket that may not be made': 'it is a warning, which has no hint',
  'calls.txt, # an argument that would be rounded': 'it is the cause of the error of the function',
  'command-line.txt, # a pull that is interrupted': 'the user has done it',
  'native-columns.txt, # a value that was changed': 'what is damaged stays so',
}
