// The worker of a page under test: takes functions to run in here, before the package's own worker begins.
import '/scenarios/run/quick-secrets.mjs'
import './rig.js'
import '/tidelock/dist/worker.js'
