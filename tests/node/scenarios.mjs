// Runs scenarios over the built package in Node, on a database in a folder. Two test files use it: with and without a remote.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import * as tidelock from '../../pkg-js/dist/index.js'
import { Recorded } from '../messages/golden.mjs'
import { control } from '../remote/control.mjs'
import { startRemote } from '../remote/index.mjs'
import { runScenario, scenariosOf } from '../scenarios/run/context.mjs'
import '../scenarios/run/quick-secrets.mjs'
import { remoteFacade } from '../scenarios/run/remote.mjs'

const folder = mkdtempSync(path.join(tmpdir(), 'tidelock-scenarios-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const environment = {
  tidelock,
  host: 'node',
  thread: 'current',
  prefix: 'scenario',
  defaults: (name) => ({ storage: 'file', path: path.join(folder, name) }),
  engine: {
    inEngine: async (work, ...args) => work(...args),
    rigEngine: async (work, ...args) => (await work(...args)) ?? (() => {}),
  },
}

/** Registers the scenarios of these modules as tests. */
export async function scenariosInNode(modules) {
  for (const module of modules) {
    const scenarios = scenariosOf(await import(pathToFileURL(module.path)), environment)
    describe(module.name, () => {
      const recorded = new Recorded(module.name)
      let passed = 0
      let server
      let remote
      if (module.remote) {
        before(async () => {
          server = await startRemote({ seed: 'shop', schemas: ['public', 'other'] })
          remote = control(server)
        })
        after(() => server?.stop())
      }
      for (const [title, work] of scenarios)
        test(title, async () => {
          remote?.fresh()
          await runScenario(work, {
            ...environment,
            remote: remote && remoteFacade(remote.facts, remote.call),
            record: (error) => recorded.add(error),
          })
          passed++
        })
      test('the messages of its errors', () => {
        // A failed scenario causes only some of the messages: look at that failure first.
        if (passed === scenarios.length) recorded.check()
      })
    })
  }
}
