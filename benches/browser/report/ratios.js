// From measurements to medians and ratios. Pure: the runner and the page both use it.

/** The middle of some numbers. */
export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** The engines of a contest in the order of its columns; those `beside` ours are shown without a ratio. */
export function columnsOf({ ours, beside = [], peers }) {
  return [ours, ...beside, ...peers]
}

/**
 * A suite's rounds, `{ [engine]: { [step]: { value, digest? } }[] }`, in figures: `results[step][engine]` with `median`, `min` and
 * `samples`; and `differ`, the steps in which not all engines answered the same.
 */
export function summarize(rounds) {
  const results = {}
  const digests = {}
  for (const [engine, measured] of Object.entries(rounds)) {
    for (const round of measured) {
      for (const [step, { value, digest }] of Object.entries(round)) {
        results[step] ??= {}
        results[step][engine] ??= { samples: [] }
        results[step][engine].samples.push(value)
        if (digest !== undefined) {
          digests[step] ??= {}
          digests[step][engine] ??= new Set()
          digests[step][engine].add(digest)
        }
      }
    }
  }
  for (const byEngine of Object.values(results)) {
    for (const figures of Object.values(byEngine)) {
      figures.median = median(figures.samples)
      figures.min = Math.min(...figures.samples)
    }
  }
  const differ = Object.entries(digests)
    .map(([step, byEngine]) => ({
      step,
      digests: Object.fromEntries(Object.entries(byEngine).map(([engine, seen]) => [engine, [...seen].join(' ')])),
    }))
    .filter(({ digests }) => new Set(Object.values(digests)).size > 1)
  return { results, differ }
}

/**
 * One row of a contest → `{ ours, fastest, theirs, ratio, least }`: the medians of ours and of the fastest peer (or of the peer `to`),
 * their ratio, and that of the minima; undefined if either is missing.
 */
export function compare(suite, contest, step, to) {
  const byEngine = suite.results[step] ?? {}
  const ours = byEngine[contest.ours]
  const peers = contest.peers.filter((peer) => byEngine[peer] && (to ?? peer) === peer)
  if (ours === undefined || peers.length === 0) return undefined
  const best = (figure) => peers.reduce((best, peer) => (byEngine[peer][figure] < byEngine[best][figure] ? peer : best))
  const fastest = best('median')
  const theirs = byEngine[fastest].median
  return {
    ours: ours.median,
    fastest,
    theirs,
    ratio: ours.median / theirs,
    least: ours.min / byEngine[best('min')].min,
  }
}

/** A suite's ratio between two of its own steps, or a figure by itself; undefined if it is missing. */
export function ownRatio(suite, { of, to }) {
  const figure = (step) => Object.values(suite.results[step] ?? {})[0]?.median
  return to === undefined ? figure(of) : figure(of) / figure(to) || undefined
}

/** All ratios to the fastest peer that a baseline keeps, `{ 'suite/contest/step': { ratio, least } }`. */
export function allRatios(report) {
  const ratios = {}
  for (const [name, suite] of Object.entries(report.suites)) {
    for (const contest of suite.contests) {
      for (const step of suite.kept ?? Object.keys(suite.steps)) {
        const row = compare(suite, contest, step)
        if (row) ratios[`${name}/${contest.name}/${step}`] = { ratio: row.ratio, least: row.least }
      }
    }
  }
  return ratios
}

/**
 * What got worse than a baseline says (`{ 'suite/contest/step': ratio }`) by more than `tolerance`: `{ name, was, is }[]`. Medians and
 * minima must agree, so that a short slowness of the machine is no alarm.
 */
export function worse(report, baseline, tolerance = 0.15) {
  return Object.entries(allRatios(report))
    .map(([name, { ratio, least }]) => ({ name, was: baseline[name], is: ratio, least }))
    .filter(({ was, is, least }) => was !== undefined && Math.min(is, least) > was * (1 + tolerance))
}
