// Passphrases become keys by a thousandth of the iterations: 400 ms of a processor less for each opening of an encrypted database. Loaded
// where an engine runs, before it does, in Node and in pages. A database that was made without it doesn't open with it. The tests of the
// command line, of files in Node and of the examples have the real number.
const derive = SubtleCrypto.prototype.deriveBits

SubtleCrypto.prototype.deriveBits = function (algorithm, ...rest) {
  const { iterations } = algorithm
  return derive.call(this, iterations ? { ...algorithm, iterations: Math.ceil(iterations / 1000) } : algorithm, ...rest)
}
