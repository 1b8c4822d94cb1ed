// Each scenario over the built package in Node, on a database in a folder.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import * as tidelock from '../../pkg-js/dist/index.js'
import { control } from '../remote/control.mjs'
import { startRemote } from '../remote/index.mjs'
import { runScenario, scenariosOf } from '../scenarios/run/context.mjs'
import { chosen } from '../scenarios/run/modules.mjs'
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

for (const module of chosen) {
  const scenarios = scenariosOf(await import(pathToFileURL(module.path)), environment)
  describe(module.name, () => {
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
      test(title, () => {
        remote?.fresh()
        return runScenario(work, { ...environment, remote: remote && remoteFacade(remote.facts, remote.call) })
      })
  })
}
