// The icons, as SVG, because fonts differ in the symbols that they have.

const PATHS = {
  sql: 'M4 6l4 4-4 4M11 15h6',
  sync: 'M6 16V4M6 4L3 7M6 4l3 3M14 4v12M14 16l-3-3M14 16l3-3',
  history: 'M10 5.5V10l3 2M10 2.5a7.5 7.5 0 1 1-7.2 5.4M2.5 3.5v4.4h4.4',
  schema: 'M3 4h6v4H3zM11 12h6v4h-6zM6 8v6h5',
  queries: 'M3 15l4-5 3 3 7-8M13 5h4v4',
  migrations: 'M4 5h12M4 10h8M4 15h4M14 11.5v6M14 17.5l-2-2M14 17.5l2-2',
  lock: 'M5 9h10v7.5H5zM7 9V6.5a3 3 0 0 1 6 0V9M10 12v1.8',
  health: 'M2.5 10.5h3.2l2-5.5 4 10 2-4.5h3.8',
} as const

export type IconName = keyof typeof PATHS

export function icon(name: IconName): SVGElement {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg')
  svg.setAttribute('viewBox', '0 0 20 20')
  svg.setAttribute('class', 'icon')
  svg.setAttribute('aria-hidden', 'true')
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path')
  path.setAttribute('d', PATHS[name])
  svg.append(path)
  return svg
}
