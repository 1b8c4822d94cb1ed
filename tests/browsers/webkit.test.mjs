// WebKitGTK: the engine of Safari.
import { capabilitiesTest } from './capabilities.mjs'
import { WebKit } from './drivers.mjs'
import { suite } from './suite.mjs'

const { open } = await suite(new WebKit())

// A driven session is as private as a private window.
capabilitiesTest('WebKitGTK, private', () => open('current'))
