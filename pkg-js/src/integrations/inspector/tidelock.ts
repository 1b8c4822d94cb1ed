// What the inspector runs of the package: its one import of it, since the bundle has no folder `views`.
export { isTidelockError, open, TidelockError } from '../../index.js'
