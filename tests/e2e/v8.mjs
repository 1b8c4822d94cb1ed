// Arguments for V8, in browsers and in Node.

/**
 * Optimises wasm later. SQLite's interpreter is one function, which V8 optimises after a few dozen statements: that takes 0.1 to 0.2 s of
 * processor time, more than most pages and processes of the tests gain by it. With TIDELOCK_ALL=1 it is as for users.
 */
export const LATE_TIER_UP = process.env.TIDELOCK_ALL ? [] : ['--wasm-tiering-budget=200000000']
