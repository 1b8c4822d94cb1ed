import { getCurrentInstance, getCurrentScope, onMounted, onScopeDispose, type ShallowRef, shallowRef, watch } from 'vue'
import type { ExternalStore } from '../shared/external-store.js'

/**
 * Runs `start` when the component has mounted, so that nothing starts on a server and a hydration finds what the server rendered. Outside
 * of a component, as in an effect scope, it runs at once, except on a server. `onStop` registers what ends it with the scope.
 */
export function whenMounted(start: (onStop: (stop: () => void) => void) => void): void {
  const scope = getCurrentScope()
  const run = () => {
    if (scope === undefined) start(() => {})
    else if (scope.active) scope.run(() => start(onScopeDispose))
  }
  if (getCurrentInstance() !== null) onMounted(run)
  else if (typeof window !== 'undefined') run()
}

/** Returns a ref of the value of a store: `initial` until the component has mounted. `storeOf` is called again when its refs change. */
export function useStore<T>(storeOf: () => ExternalStore<T>, initial: T): ShallowRef<T> {
  const value = shallowRef(initial) as ShallowRef<T>
  whenMounted(() => {
    watch(
      storeOf,
      (store, _, onCleanup) => {
        const show = () => {
          value.value = store.get()
        }
        onCleanup(store.subscribe(show))
        show()
      },
      { immediate: true },
    )
  })
  return value
}
