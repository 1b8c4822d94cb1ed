// The app under test in Svelte: see react.jsx.
import * as svelte from 'svelte'
import { writable } from 'svelte/store'
import App from './svelte/App.svelte'

const propsOf = ({ list, sql, ...rest }) => ({ ...rest, sql, list: writable(sql ? [list] : undefined) })

function begin(start, target, given) {
  const props = propsOf(given)
  const app = start(App, { target, props })
  return { update: ({ list }) => props.list.set([list]), unmount: () => svelte.unmount(app) }
}

export function mount(target, given) {
  try {
    return begin(svelte.mount, target, given)
  } catch (error) {
    target.innerHTML = '<output class="boundary"></output>'
    target.firstChild.textContent = `${error.code}: ${error.hint}`
  }
}

export const hydrate = (target, given) => begin(svelte.hydrate, target, given)

export async function render(given) {
  const { render } = await import('svelte/server')
  return (await render(App, { props: propsOf(given) })).body
}
