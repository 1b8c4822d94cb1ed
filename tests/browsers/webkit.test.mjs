// WebKitGTK: the engine of Safari.
import { capabilitiesTest } from './capabilities.mjs'
import { WebKit } from './drivers.mjs'
import { suite } from './suite.mjs'

// WebAssembly is interpreted here, and large results take long.
const { open } = await suite(new WebKit(), { without: ['rows'] })

// A driven session is as private as a private window.
capabilitiesTest('WebKitGTK, private', () => open('current'))
