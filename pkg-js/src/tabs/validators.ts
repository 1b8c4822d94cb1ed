// Validators of values that come from other tabs.

/** Returns whether a value is valid. */
export type Validator = (value: unknown) => boolean

export const text: Validator = (value) => typeof value === 'string'
export const flag: Validator = (value) => typeof value === 'boolean'
export const whole: Validator = (value) => Number.isSafeInteger(value) && (value as number) >= 0
export const number: Validator = (value) => Number.isFinite(value)
export const anything: Validator = () => true
export const bytes: Validator = (value) => value instanceof Uint8Array
export const oneOf =
  (...values: readonly unknown[]): Validator =>
  (value) =>
    values.includes(value)
export const maybe =
  (validator: Validator): Validator =>
  (value) =>
    value === undefined || validator(value)
export const either =
  (...validators: readonly Validator[]): Validator =>
  (value) =>
    validators.some((validator) => validator(value))
/** An array without holes. */
export const list =
  (validator: Validator): Validator =>
  (value) => {
    if (!Array.isArray(value)) return false
    // Ends at the first hole: a message may claim any length.
    for (let at = 0; at < value.length; at++) if (!(at in value) || !validator(value[at])) return false
    return true
  }
export const object =
  (fields: Readonly<Record<string, Validator>>): Validator =>
  (value) =>
    typeof value === 'object' &&
    value !== null &&
    Object.entries(fields).every(([name, validator]) => validator((value as Record<string, unknown>)[name]))
/** The place of a function, which the arguments of a message leave out; it is optional. */
export const callback = oneOf(undefined)

/** Whether the table has such a method and its arguments are valid; `functions` are the indexes of arguments that are functions. */
export function has(
  methods: Readonly<Record<string, readonly Validator[]>>,
  method: unknown,
  args: readonly unknown[],
  functions: readonly number[],
): boolean {
  const validators = typeof method === 'string' && Object.hasOwn(methods, method) ? methods[method] : undefined
  return (
    validators !== undefined &&
    args.length <= validators.length &&
    validators.every((validator, at) => validator(args[at]) && (validator === callback || !functions.includes(at)))
  )
}
