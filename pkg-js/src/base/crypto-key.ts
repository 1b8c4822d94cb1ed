/** What a `CryptoKey` says about itself. */
export interface KeyTraits {
  readonly type: string
  readonly extractable: boolean
  /** The name of its algorithm. */
  readonly algorithm: string
  readonly usages: readonly string[]
}

/** Returns the traits of a `CryptoKey`; undefined for any other value. Uses the built-in getters, which an object can't imitate. */
export function keyTraits(value: unknown): KeyTraits | undefined {
  try {
    const read = <Name extends keyof CryptoKey>(name: Name): CryptoKey[Name] =>
      Reflect.get(CryptoKey.prototype, name, value)
    return {
      type: read('type'),
      extractable: read('extractable'),
      algorithm: read('algorithm').name,
      usages: [...read('usages')],
    }
  } catch {
    return undefined
  }
}
