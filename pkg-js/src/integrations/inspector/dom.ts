// Writes DOM elements as expressions. No text is ever parsed as HTML.

export type Child = Node | string | number | bigint | null | undefined | false

type Props = Readonly<Record<string, unknown>>

/** Makes an element. `on…` properties become listeners, names with a hyphen and `role` attributes, others properties. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === false) continue
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value as EventListener)
    else if (name === 'class') element.className = String(value)
    else if (name.includes('-') || name === 'role') element.setAttribute(name, String(value))
    else Reflect.set(element, name, value)
  }
  return fill(element, ...children)
}

/** Makes an SVG element with attributes. */
export function svg(tag: string, attributes: Readonly<Record<string, string | number>> = {}, ...children: Child[]) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag) as SVGElement
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value))
  return fill(element, ...children)
}

/** Replaces the children of an element. */
export function fill<E extends Element>(element: E, ...children: Child[]): E {
  const shown = children.filter((child) => child !== null && child !== undefined && child !== false && child !== '')
  element.replaceChildren(...shown.map((child) => (child instanceof Node ? child : String(child))))
  return element
}

/**
 * Replaces the children of an element with newer ones. What is open, scrolled areas and the focus stay as they are in elements that have a
 * label, or a `summary` that begins with the same text.
 */
export function refill(element: HTMLElement, ...children: Child[]): void {
  const named = (): [string, HTMLElement][] =>
    [...element.querySelectorAll<HTMLElement>('[aria-label], summary, details > pre')].map((one) => {
      const title = one.parentElement?.closest('details')?.querySelector('summary')?.firstChild?.textContent
      return [`${one.localName} ${one.getAttribute('aria-label')} ${title}`, one]
    })
  const active = (element.getRootNode() as ShadowRoot).activeElement
  const before = new Map(
    named().map(([name, one]) => [
      name,
      { left: one.scrollLeft, top: one.scrollTop, isActive: one === active, isOpen: one.closest('details')?.open },
    ]),
  )
  fill(element, ...children)
  for (const [name, one] of named()) {
    const known = before.get(name)
    if (known === undefined) continue
    const details = one.closest('details')
    if (details !== null && known.isOpen !== undefined) details.open = known.isOpen
    one.scrollTo({ left: known.left, top: known.top, behavior: 'instant' })
    if (known.isActive) one.focus({ preventScroll: true })
  }
}

/** Makes a button that is disabled while its action runs. A failure goes to `onError`. */
export function action(
  label: string,
  run: () => unknown,
  onError: (error: unknown) => void,
  props: Props = {},
): HTMLButtonElement {
  const button = h('button', { type: 'button', ...props }, label)
  button.addEventListener('click', async () => {
    button.disabled = true
    button.setAttribute('aria-busy', 'true')
    try {
      await run()
    } catch (error) {
      onError(error)
    } finally {
      button.disabled = false
      button.removeAttribute('aria-busy')
    }
  })
  return button
}

/** Makes a listener that runs `work` once for many calls in a row: a pull commits page after page. */
export function soon(work: () => unknown, delayMs = 100): () => void {
  let isDue = false
  return () => {
    if (isDue) return
    isDue = true
    setTimeout(() => {
      isDue = false
      work()
    }, delayMs)
  }
}

/** A list of terms and their values. */
export function terms(entries: readonly (readonly [string, Child])[]): HTMLElement {
  return h('dl', {}, ...entries.flatMap(([term, value]) => [h('dt', {}, term), h('dd', {}, value ?? '–')]))
}

/** What is shown where there is nothing yet. */
export function empty(...children: Child[]): HTMLElement {
  return h('div', { class: 'empty' }, ...children)
}

/** What is shown until the database answers; the reason appears only when that takes long. */
export function loading(text = 'Loading…'): HTMLElement {
  return empty(text, h('p', { class: 'late' }, 'The database is busy: a transaction or a long statement runs.'))
}

/** A section with a heading. */
export function section(title: string, ...children: Child[]): HTMLElement {
  return h('section', {}, h('h3', {}, title), ...children)
}

/** Offers bytes as a file. */
export function download(name: string, data: Blob): void {
  const address = URL.createObjectURL(data)
  h('a', { href: address, download: name }).click()
  setTimeout(() => URL.revokeObjectURL(address), 60_000)
}
