// Which ones of a test's many cases run. Node and pages load this file, so it imports nothing.

/**
 * Returns every nth case; all of them in a long run (`./build.sh test --all`) in Node. Pages take every nth one always, since the engine
 * is the same.
 */
export const everyNth = (nth, cases) =>
  globalThis.process?.env.TIDELOCK_ALL ? cases : cases.filter((_, at) => at % nth === 0)
