// The build writes the page as a file. The database is only in the browser.
export const prerender = true
