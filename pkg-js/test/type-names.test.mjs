// A type name means one thing in the whole package: no two modules declare the same class, interface, enum or type alias.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const sources = fileURLToPath(new URL('../src/', TESTS))
const declaration = /^(?:export |default |declare |abstract |const )*(?:class|interface|enum|type) (\w+)/

/** Returns the type names that a module declares, with the place of each. */
function declaredIn(module) {
  const lines = readFileSync(join(sources, module), 'utf8').split('\n')
  return lines.flatMap((line, index) => {
    const name = declaration.exec(line)?.[1]
    return name === undefined ? [] : [[name, `pkg-js/src/${module}:${index + 1}`]]
  })
}

test('no type name is declared in two modules', () => {
  const places = new Map()
  for (const module of readdirSync(sources, { recursive: true }).filter((file) => file.endsWith('.ts')))
    for (const [name, place] of declaredIn(module)) places.set(name, [...(places.get(name) ?? []), place])
  for (const known of ['TidelockError', 'Connection', 'MaybePromise', 'OpenOptions'])
    assert.ok(places.has(known), `The declaration of ${known} was not found`)
  const repeated = [...places].filter(([, declared]) => declared.length > 1)
  assert.deepEqual(
    repeated.map(([name, declared]) => `${name} is declared in ${declared.join(' and ')}`),
    [],
  )
})
