// From measurements to medians and ratios. Pure: the runner and the page both use it.

/** The middle of some numbers. */
export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
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

/** One row of a contest → `{ ours, fastest, theirs, ratio }`: the medians of both, and which peer it was; undefined if either is missing. */
export function compare(suite, contest, step) {
  const byEngine = suite.results[step] ?? {}
  const ours = byEngine[contest.ours]?.median
  const peers = contest.peers.filter((peer) => byEngine[peer])
  if (ours === undefined || peers.length === 0) return undefined
  const fastest = peers.reduce((best, peer) => (byEngine[peer].median < byEngine[best].median ? peer : best))
  const theirs = byEngine[fastest].median
  return { ours, fastest, theirs, ratio: ours / theirs }
}

/** All ratios of a report, by `suite/contest/step`: what the baseline keeps. */
export function allRatios(report) {
  const ratios = {}
  for (const [name, suite] of Object.entries(report.suites)) {
    for (const contest of suite.contests) {
      for (const step of contest.steps ?? Object.keys(suite.steps)) {
        const row = compare(suite, contest, step)
        if (row) ratios[`${name}/${contest.name}/${step}`] = row.ratio
      }
    }
  }
  return ratios
}
