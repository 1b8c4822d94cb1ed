// The package itself, which the command line uses as any program does; its bundle imports it from beside.
export * from '../index.js'
