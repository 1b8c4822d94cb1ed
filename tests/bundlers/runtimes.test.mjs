// The package in the runtimes outside of browsers: memory, and a folder that a second run finds again, without what is still running.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { here, run, target, withApp } from './harness.mjs'

const modules = here('more/node_modules')
const node = (version) => [`${modules}/node${version}/bin/node`]
const deno = `${modules}/@deno/linux-x64-glibc/deno`
const runtimes = {
  'Node 20': node(20),
  'Node 22': node(22),
  'Node 24': node(24),
  Deno: [deno, 'run', '--no-prompt', '--allow-read', '--allow-write', '--allow-sys=hostname', '--allow-run'],
  Bun: [`${modules}/@oven/bun-linux-x64/bin/bun`],
}

for (const [name, [program, ...words]] of Object.entries(runtimes))
  target(name, { parts: ['runtimes'] }, async (folder) => {
    for (const visits of [1, 2]) {
      const output = await run(folder, program, [...words, 'main.mjs', `${folder}/data`])
      assert.deepEqual(JSON.parse(output.trim().split('\n').at(-1)), {
        memory: { visits: 1, status: 'ok' },
        file: { visits, status: 'ok' },
        unnamed: 'unsupported_environment',
        package: 'tidelock',
      })
    }
  })

test('Deno that keeps the name of the machine secret: storage_unavailable says what to allow', async () => {
  await withApp({ parts: ['runtimes'] }, async (folder) => {
    const words = ['run', '--no-prompt', '--allow-read', '--allow-write', 'main.mjs', `${folder}/data`]
    await assert.rejects(run(folder, deno, words), /storage 'file' needs the name of this machine for its lock/)
  })
})
