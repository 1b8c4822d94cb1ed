// WebKitGTK: the engine of Safari.
import { capabilitiesTest } from './capabilities.mjs'
import { WebKit } from './drivers.mjs'
import { suite } from './suite.mjs'

// WebAssembly is interpreted here: large results take long, and so does the longest scenario of snapshots.
const { open } = await suite(new WebKit(), {
  without: ['rows'],
  slow: ['a snapshot is exported by name, compressed, encrypted, as SQL, and imported in another database'],
})

// A driven session is as private as a private window.
capabilitiesTest('WebKitGTK, private', () => open('current'))
