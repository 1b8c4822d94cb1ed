// WebKitGTK: the engine of Safari.
import { capabilitiesTest } from './capabilities.mjs'
import { WebKit } from './drivers.mjs'
import { suite } from './suite.mjs'

// WebKitGTK 2.50 gave one row of 20,000 the number of the row before it, once in some 30 runs; `values` and `iterate` read rows here, too.
const { open } = await suite(new WebKit(), { without: ['rows'] })

// A driven session is as private as a private window.
capabilitiesTest('WebKitGTK, private', () => open('current'))
