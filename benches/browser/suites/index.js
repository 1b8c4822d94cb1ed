// The suites that run in a browser, by name: `{ title, steps, contests, round(bench) }`.

import { app } from './app.js'

export const suites = { app }
