// The suites that run in a browser, by name: `{ title, steps, contests, round(bench), ... }`. `steps` are their rows; a contest is one
// of our engines against its peers. And as they need it: `prepare(bench)`, once before the rounds; `fresh`, each engine in a browser
// profile of its own; `engines`, where there is no contest; `ratios` between steps; `derive(results)`, figures from
// figures; `kept`, the steps that the baseline knows, when not all; `unit`, when it isn't ms; `server`, where the runner starts a remote
// (`bench.server`; a number multiplies its rows); `byName`, which runs only when it is named.

import { app } from './app.js'
import { durable } from './durable.js'
import { encryption } from './encryption.js'
import { floors } from './floors.js'
import { large } from './large.js'
import { live } from './live.js'
import { mainThread } from './main-thread.js'
import { speedtest } from './speedtest.js'
import { storage } from './storage.js'
import { sync } from './sync.js'

export const suites = {
  app,
  speedtest,
  durable,
  'main-thread': mainThread,
  storage,
  encryption,
  live,
  sync,
  floors,
  large,
}
