// What the components use of the package, imported once: the built file would have an import for each source file that has one.
export { isTidelockError, lastRows, open, TidelockError } from '../../index.js'
