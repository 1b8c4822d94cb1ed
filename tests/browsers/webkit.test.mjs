// WebKitGTK: the engine of Safari.
import { WebKit } from './drivers.mjs'
import { suite } from './suite.mjs'

await suite(new WebKit())
