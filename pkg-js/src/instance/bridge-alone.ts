import type { CoreOptions } from '../engine/core-options.js'
import type { WasmSource } from '../options/options.js'
import { Bridge, type BridgeOptions } from './bridge.js'
import type { DatabaseClient } from './database-client.js'
import { type Instance, startInstance } from './instance.js'

/** Starts an instance that opens no database, and its bridge. Rejects with `wasm_load_failed`. */
export async function bridgeAlone(
  checked: CoreOptions,
  opening: BridgeOptions,
  client: DatabaseClient,
  wasm: WasmSource | undefined,
): Promise<[Bridge, Instance]> {
  const bridge = new Bridge(checked, opening, client)
  return [bridge, await startInstance(wasm, (trap) => bridge.trapped(trap))]
}
