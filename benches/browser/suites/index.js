// The suites that run in a browser, by name: `{ title, steps, contests, round(bench), prepare?(bench), fresh? }`. `steps` are their
// rows; a contest is one of our engines against its peers; `fresh`: each engine needs a browser profile of its own.

import { app } from './app.js'
import { durable } from './durable.js'
import { mainThread } from './main-thread.js'
import { speedtest } from './speedtest.js'

export const suites = { app, speedtest, durable, 'main-thread': mainThread }
