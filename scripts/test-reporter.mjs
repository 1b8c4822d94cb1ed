// A reporter of Node's test runner for scripts/test.mjs: writes the number of passed tests and the names of failed ones as JSON.

export default async function* report(events) {
  let passed = 0
  const failed = []
  /** The names of the enclosing suites, by nesting level. */
  const names = []
  for await (const { type, data } of events) {
    if (type === 'test:start') names[data.nesting] = data.name
    if (type === 'test:pass' && data.details.type !== 'suite') passed++
    // A suite fails when one of its tests fails, or a hook of its own.
    if (type === 'test:fail' && data.details.error?.failureType !== 'subtestsFailed')
      failed.push([...names.slice(0, data.nesting), data.name].join(' › '))
  }
  yield JSON.stringify({ passed, failed })
}
