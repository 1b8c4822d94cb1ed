// The forms that values of other tabs are held against.

/** Whether a value has some form. */
export type Shape = (value: unknown) => boolean

export const text: Shape = (value) => typeof value === 'string'
export const flag: Shape = (value) => typeof value === 'boolean'
export const whole: Shape = (value) => Number.isSafeInteger(value) && (value as number) >= 0
export const number: Shape = (value) => Number.isFinite(value)
export const anything: Shape = () => true
export const bytes: Shape = (value) => value instanceof Uint8Array
export const oneOf =
  (...values: readonly unknown[]): Shape =>
  (value) =>
    values.includes(value)
export const maybe =
  (shape: Shape): Shape =>
  (value) =>
    value === undefined || shape(value)
export const either =
  (...shapes: readonly Shape[]): Shape =>
  (value) =>
    shapes.some((shape) => shape(value))
/** An array without holes. */
export const list =
  (shape: Shape): Shape =>
  (value) =>
    Array.isArray(value) && Array.from(value).every(shape)
export const object =
  (fields: Readonly<Record<string, Shape>>): Shape =>
  (value) =>
    typeof value === 'object' &&
    value !== null &&
    Object.entries(fields).every(([name, shape]) => shape((value as Record<string, unknown>)[name]))
/** A function, which is left out of the arguments of a call; there may be none. */
export const callback = oneOf(undefined)

/** Whether a table has such a method, and its arguments their forms; `functions` are the places where it is to get one. */
export function has(
  methods: Readonly<Record<string, readonly Shape[]>>,
  method: unknown,
  args: readonly unknown[],
  functions: readonly number[],
): boolean {
  const forms = typeof method === 'string' && Object.hasOwn(methods, method) ? methods[method] : undefined
  return (
    forms !== undefined &&
    args.length <= forms.length &&
    forms.every((form, at) => form(args[at]) && (form === callback || !functions.includes(at)))
  )
}
