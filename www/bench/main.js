import { round } from '../../benches/browser/suites/round.js'

// What the runner, benches/browser/run.mjs, calls.
window.bench = { round }
