// Stands between wasm-bindgen's glue and the exports of one wasm instance, so that a trap ends that instance and nothing else.
// Bundled into pkg-js/generated/instance.js; it knows nothing about tidelock.

/** Thrown by every call into an instance that trapped before; `cause` is the trap. Needs no handling: the trap was reported. */
export class InstanceDeadError extends Error {
  constructor(cause) {
    super('this wasm instance has trapped and takes no more calls', { cause })
    this.name = 'InstanceDeadError'
  }
}

// Exports with such names are called by the glue itself, from timers, promise reactions and finalizers, where nobody could catch an error.
const unattended = /^_/

// What an unattended call returns from a dead instance: reads as 0 where the glue wants a number, as "no error" where it wants a tuple.
const nothing = Object.freeze([])

/**
 * Makes the guard of one instance.
 *
 * `exports(raw)` gives the exports to hand to the glue. Whatever exception leaves a raw export has skipped Rust's clean-up, so it
 * ends the instance: a trap, an exhausted stack, an import's exception that nobody caught. Only what wasm-bindgen itself throws
 * (`thrown(error)`: use of a moved or borrowed object, before anything ran) doesn't. `onTrap` hears of the first one, once, and of the
 * panic that it comes from, when it comes from one.
 */
export function createGuard(onTrap) {
  const harmless = new WeakSet()
  let isDead = false
  let cause
  let panic
  let [raw, guarded, given] = []
  let depth = 0 // of calls into the instance: an import may call back

  const failed = (error) => {
    if (isDead || harmless.has(error)) return
    isDead = true
    cause = error
    onTrap(error, panic)
  }

  // Rest parameters cost nothing here: V8 inlines them (measured: 3 ns a call with and without the guard).
  const wrap =
    (call, quiet) =>
    (...args) => {
      if (isDead) {
        // Inside another call it must still throw, to end the calls around it.
        if (quiet && depth === 0) return nothing
        throw new InstanceDeadError(cause)
      }
      depth++
      try {
        const result = call(...args)
        if (isDead) throw new InstanceDeadError(cause) // trapped in a nested call whose error somebody swallowed
        return result
      } catch (error) {
        failed(error)
        if (quiet && depth === 1 && isDead) return nothing
        throw error
      } finally {
        depth--
      }
    }

  return {
    exports(exports) {
      guarded = {}
      raw = exports
      for (const [name, value] of Object.entries(raw)) {
        if (name.startsWith('$')) continue // only the parts' business
        guarded[name] = typeof value === 'function' ? wrap(value, unattended.test(name)) : value
      }
      return guarded
    },
    /** Keeps what the glue gives to the instance. */
    imports(imports) {
      given = imports
      return imports
    },
    thrown(error) {
      harmless.add(error)
      return error
    },
    /** The instance tells this right before a panic traps. */
    panicked(message, location) {
      panic = { message, location }
    },
    dead: () => isDead,
    /** The exports as they were given. */
    raw: () => raw,
    /** What the glue gave. */
    given: () => given,
    /** The exports behind the guard. */
    guarded: () => guarded,
  }
}
