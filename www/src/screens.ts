// The screens that replace the app when there is no database to show.
import { action, describe, h } from './dom.ts'
import { ago, clock } from './format.ts'
import { icon } from './icons.ts'

type Start = (wait?: boolean) => Promise<void>

/** The screen for a database that another tab has open: the holder, since when, and the choices. */
export function busyScreen(error: unknown, start: Start): HTMLElement {
  const { message, code, details } = describe(error)
  const holder = (details.holder ?? {}) as { id?: string; title?: string; url?: string; since?: string }
  return h(
    'main',
    { class: 'screen', 'data-screen': 'busy' },
    h('div', { class: 'emblem warning' }, icon('lock')),
    h('h1', {}, message),
    h('p', {}, 'Only one tab at a time writes to it, so no write is lost. Close the other tab, or wait for it here.'),
    h(
      'dl',
      { class: 'facts' },
      ...fact('Held by', holder.title || 'another tab'),
      ...fact('At', holder.url),
      ...fact('Since', holder.since && `${clock(holder.since)} (${ago(holder.since)})`),
      ...fact('Holder', holder.id),
      ...fact('Code', code),
    ),
    h(
      'div',
      { class: 'buttons' },
      action('Try again', () => start(), { class: 'primary' }),
      action('Wait for it', () => start(true)),
    ),
  )
}

/** The screen for a database that can't be opened. */
export function failedScreen(error: unknown, start: Start): HTMLElement {
  const { message, code, hint, details } = describe(error)
  return h(
    'main',
    { class: 'screen', 'data-screen': 'failed' },
    h('div', { class: 'emblem error' }, '!'),
    h('h1', {}, 'The database could not be opened'),
    h('p', {}, message),
    hint && h('p', { class: 'hint' }, hint),
    h(
      'dl',
      { class: 'facts' },
      ...fact('Code', code),
      ...fact('Details', Object.keys(details).length > 0 && JSON.stringify(details)),
    ),
    h(
      'div',
      { class: 'buttons' },
      action('Try again', () => start(), { class: 'primary' }),
    ),
  )
}

function fact(name: string, value: string | false | undefined): HTMLElement[] {
  return value ? [h('dt', {}, name), h('dd', {}, value)] : []
}
