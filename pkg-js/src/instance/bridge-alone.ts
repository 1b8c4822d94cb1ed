import type { CoreOptions } from '../engine/core.js'
import type { WasmSource } from '../options/options.js'
import { Bridge, type Opening } from './bridge.js'
import { type Instance, startInstance } from './instance.js'
import type { LocalUser } from './user.js'

/** An instance that opens nothing, and the bridge to it. Rejects with `wasm_load_failed`. */
export async function bridgeAlone(
  checked: CoreOptions,
  opening: Opening,
  user: LocalUser,
  wasm: WasmSource | undefined,
): Promise<[Bridge, Instance]> {
  const bridge = new Bridge(checked, opening, user)
  return [bridge, await startInstance(wasm, (trap) => bridge.trapped(trap))]
}
