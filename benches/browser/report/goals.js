// What is to be reached: figures of a report that may be at most so much. Ratios are to the fastest peer of the same run, as is the floor
// of the suite `floors`: what even SQLite or IndexedDB alone takes.

import { compare, ownRatio } from './ratios.js'

const goals = [
  row('rows as objects', 0.2, 'app', 'objects'),
  row('inserts in one call', 0.5, 'app', 'inserts'),
  row('point selects, as objects, caller on SQLite’s thread', 0.5, 'app', 'points'),
  row('group-bys', 1, 'app', 'groups'),
  row('a join', 1, 'app', 'join'),
  row('FTS5', 1, 'app', 'fts'),
  row('autocommit in memory', 1.1, 'app', 'autocommit'),
  row('speedtest, geometric mean', 1, 'speedtest', 'geomean'),
  row('durable updates, concurrent', 0.05, 'durable', 'concurrent'),
  row('opfs: durable updates, awaited', 0.2, 'durable', 'updates', { contest: 'opfs' }),
  row('opfs: durable updates, awaited, strict', 1, 'durable', 'updates', { contest: 'opfs, strict' }),
  row('opfs: durable updates, concurrent', 0.05, 'durable', 'concurrent', { contest: 'opfs' }),
  row('opfs: open + full scan of 100 MB, to opfs-sahpool’s', 0.8, 'durable', 'scan', {
    contest: 'opfs',
    to: 'official-sahpool',
  }),
  row('opfs: open 1 GB, with a row by its key', 0.5, 'large', 'first'),
  row('opfs: memory, making 50 MB, to AccessHandlePool’s', 1, 'memory', 'making', {
    contest: 'opfs',
    to: 'wa-sqlite-ahp',
  }),
  row('opfs: memory, opening and reading 50 MB, to AccessHandlePool’s', 1, 'memory', 'reading', {
    contest: 'opfs',
    to: 'wa-sqlite-ahp',
  }),
  row('download, gzip, everything included, to official’s', 1, 'size', 'settledGzip', { to: 'official' }),
  row('first visit, 50 ms latency, to wa-sqlite’s over IndexedDB', 1, 'cold', 'firstLate', { to: 'wa-sqlite-idb' }),
  row('first visit, to wa-sqlite’s over IndexedDB', 1, 'cold', 'first', { to: 'wa-sqlite-idb' }),
  row('later visits, to official’s in memory', 1.1, 'cold', 'later', { to: 'official' }),
  {
    text: 'page blocked while a worker reads 50,000 rows, ms',
    max: 10,
    suite: 'main-thread',
    figure: (suite) => suite.results.readTotal?.['tidelock-worker']?.median,
  },
]

/** A row of a suite's contest of that name, or of its first one; its ratio to the fastest peer, or to that of `to`. */
function row(text, max, suite, step, { contest, to } = {}) {
  const figure = (suite) => {
    const found = suite.contests.find(({ name }) => name === (contest ?? name))
    return found && compare(suite, found, step, to)?.ratio
  }
  // The floors are those of a suite's first contest.
  return { text, max, suite, step: contest ? undefined : step, figure }
}

/** `{ text, max, value, met, floor }[]` of the suites that a report has; `value` is undefined where the figure couldn't be measured, `floor` where none was. */
export function judge(report) {
  const own = Object.entries(report.suites).flatMap(([suite, { ratios = {} }]) =>
    Object.entries(ratios)
      .filter(([, { goal }]) => goal !== undefined)
      .map(([text, ratio]) => ({ text, max: ratio.goal, suite, figure: (suite) => ownRatio(suite, ratio) })),
  )
  return [...goals, ...own]
    .filter(({ suite }) => report.suites[suite])
    .map(({ text, max, suite, figure, step }) => {
      const value = figure(report.suites[suite])
      const floors = report.suites.floors
      const floor = floors?.results[`${step}Peer`] && ownRatio(floors, { of: step, to: `${step}Peer` })
      return { text, max, value, met: value !== undefined && value <= max, floor }
    })
}
