// A reporter of Node's test runner for scripts/test.mjs: how many tests of a file passed, and the names of those that failed, as JSON.

export default async function* report(events) {
  let passed = 0
  const failed = []
  /** The names of the suites around the present test, by nesting. */
  const names = []
  for await (const { type, data } of events) {
    if (type === 'test:start') names[data.nesting] = data.name
    if (type === 'test:pass' && data.details.type !== 'suite') passed++
    // A suite fails with its tests; by itself only in its hooks.
    if (type === 'test:fail' && data.details.error?.failureType !== 'subtestsFailed')
      failed.push([...names.slice(0, data.nesting), data.name].join(' › '))
  }
  yield JSON.stringify({ passed, failed })
}
