// A remote by calls whose arguments and results are plain data: what tests/scenarios/run/remote.mjs speaks to.

/** `startRemote`'s remote → `{ facts, call(name, ...args), fresh() }`. */
export function control(remote) {
  const faults = []
  const sessions = []
  const { url, anonKey, serviceKey, publishableKey, secretKey } = remote
  const calls = {
    sql: (text, params) => remote.sql(text, params ?? undefined),
    jwt: (sub, claims) => remote.jwtFor(sub, claims ?? undefined),
    fault: ({ path, ...fault }) => faults.push(remote.faults.add({ ...fault, path: path && new RegExp(path) })) - 1,
    faultMet: (id) => faults[id].met,
    removeFault: (id) => faults[id].remove(),
    clearFaults: () => remote.faults.clear(),
    requests: () => remote.stats.requests,
    resetRequests: () => remote.stats.reset(),
    killConnections: () => remote.killConnections(),
    openSession: async () => sessions.push(await remote.session()) - 1,
    sessionQuery: async (id, text) => (await sessions[id].query(text)).rows ?? [],
    endSession: (id) => sessions[id].end(),
    another: async (options) => (await remote.another(options)).url,
  }
  return {
    facts: { url, anonKey, serviceKey, publishableKey, secretKey },
    call: async (name, ...args) => (await calls[name](...args)) ?? null,
    /** What one scenario left behind is no matter of the next one. */
    fresh() {
      remote.faults.clear()
      remote.stats.reset()
      remote.realtime.reset()
    },
  }
}
