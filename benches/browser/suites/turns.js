// The order of a suite's rounds, and its report: the runner (a browser a suite or an engine) and the page (this one) both go by it.

import { columnsOf, summarize } from '../report/ratios.js'

/** The ids of a suite's engines. */
export function enginesOf(suite) {
  return suite.engines ?? [...new Set(suite.contests.flatMap(columnsOf))]
}

/**
 * One round to warm up, then `rounds`, in each of which every engine has its turn, another one first → the suite's report. `run(id,
 * part)` does one; an engine that fails is out, and told why. `onTurn(id, round, report)` may show how it goes, and throw to end it.
 */
export async function takeTurns(suite, { rounds, run, onTurn, ids = enginesOf(suite) }) {
  const { title, steps, contests, ratios, kept } = suite
  const notRun = {}
  const measured = Object.fromEntries(ids.map((id) => [id, []]))
  const report = () => {
    const figures = summarize(measured)
    suite.derive?.(figures.results)
    return { title, steps, contests, ratios, kept, notRun, ...figures }
  }
  const turn = async (id, round, part) => {
    if (notRun[id]) return
    await onTurn?.(id, round, report)
    try {
      const result = await run(id, part)
      if (round >= 0) measured[id].push(result)
    } catch (error) {
      notRun[id] = String(error?.message ?? error)
        .replace(/^page.evaluate: /, '')
        .split('\n')[0]
      delete measured[id]
    }
  }
  if (suite.prepare) for (const id of ids) await turn(id, -2, 'prepare')
  for (let round = -1; round < rounds; round++) {
    for (let i = 0; i < ids.length; i++) await turn(ids[(i + round + 1) % ids.length], round)
  }
  return report()
}
