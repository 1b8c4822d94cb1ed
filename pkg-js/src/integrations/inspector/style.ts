// The looks, as a constructed style sheet: a page whose policy forbids inline styles allows it.

const text = `
:host {
  text-align: start;
  color-scheme: light dark;
  --paper: light-dark(#f7f8f9, #11161a);
  --card: light-dark(#ffffff, #171e23);
  --line: light-dark(#dde2e6, #2b353c);
  --ink: light-dark(#1b2429, #e3eaee);
  --soft: light-dark(#5a6770, #9aa8b1);
  --accent: light-dark(#0b6e66, #2dd4bf);
  --accent-ink: light-dark(#ffffff, #06201d);
  --wash: light-dark(#dff0ed, #17403b);
  --good: light-dark(#146c35, #4ade80);
  --warn: light-dark(#8a4b00, #fbbf24);
  --warn-wash: light-dark(#fdf0d5, #33290f);
  --bad: light-dark(#ab1f14, #fb8a80);
  --bad-wash: light-dark(#fde9e7, #38191a);
  --keyword: light-dark(#8a1c7c, #e08fd8);
  --string: light-dark(#8a4b00, #f0b66a);
  --number: light-dark(#0b5cad, #7db9f5);
  --edge: light-dark(rgb(20 45 55 / 22%), rgb(200 230 240 / 20%));
  --type: light-dark(#0b6e66, #5fd0c3);
  --mono: ui-monospace, "SF Mono", "Cascadia Code", "DejaVu Sans Mono", monospace;
  display: block;
  container: inspector / inline-size;
  min-height: 20em;
  color: var(--ink);
  background: var(--paper);
  font: 14px / 1.5 system-ui, -apple-system, "Segoe UI", "Noto Sans", sans-serif;
}
:host([hidden]), [hidden], :host([embedded]) :is(.tabs, .list) { display: none; }
:host([embedded]) .split { grid-template: minmax(0, 1fr) / minmax(0, 1fr); }
* { box-sizing: border-box; }
h2, h3, p, ul, dl, dd, pre, figure { margin: 0; padding: 0; }
h2 { font-size: 17px; overflow-wrap: anywhere; }
h3 { font-size: 14px; }
ul { list-style: none; }
code, pre, .sql { font-family: var(--mono); font-size: 12.5px; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
.inspector { display: flex; flex-direction: column; height: 100%; }
.tabs { display: flex; gap: 2px; padding: 6px 8px 0; overflow-x: auto; border-bottom: 1px solid var(--line); scrollbar-width: thin; flex: none; }
.tabs button { border: 0; border-radius: 6px 6px 0 0; background: none; color: var(--soft); padding: 7px 11px; flex: none; border-bottom: 2px solid transparent; }
.tabs button[aria-selected="true"] { color: var(--ink); border-bottom-color: var(--accent); font-weight: 600; }
.tabs button:focus-visible { outline-offset: -2px; }
.message { flex: none; display: flex; gap: 10px; align-items: start; padding: 0 12px; color: var(--good); }
.message:not(:empty) { padding: 8px 12px; border-top: 1px solid var(--line); }
.message .problem { flex: 1; }
.body { flex: 1; min-height: 0; overflow: auto; padding: 12px; }
.body:focus-visible { outline: none; }
button, input, select, textarea { border: 1px solid var(--line); border-radius: 6px; background: var(--card); color: inherit; font: inherit; font-size: 13px; padding: 5px 10px; max-width: 100%; }
button { cursor: pointer; white-space: nowrap; }
button:hover:not(:disabled) { border-color: var(--accent); }
button:disabled { cursor: default; color: var(--soft); opacity: 0.75; }
button[aria-busy] { cursor: progress; }
input[type="range"] { width: 100%; padding: 0; accent-color: var(--accent); border: 0; background: none; }
input[type="checkbox"] { accent-color: var(--accent); }
input::placeholder { color: var(--soft); opacity: 1; }
.primary:not(:disabled) { background: var(--accent); border-color: var(--accent); color: var(--accent-ink); }
.danger:not(:disabled) { color: var(--bad); }
.quiet { border-color: transparent; background: none; }
.soft { color: var(--soft); }
.flaw { color: var(--bad); }
.summary { font-variant-numeric: tabular-nums; }
.stack { display: flex; flex-direction: column; gap: 12px; min-width: 0; }
.stack > * { min-width: 0; }
section { display: flex; flex-direction: column; gap: 8px; min-width: 0; }
.bar, .footer, .buttons, .row { display: flex; flex-wrap: wrap; align-items: center; gap: 8px; min-width: 0; }
.buttons.end { justify-content: end; }
.footer { padding-top: 8px; }
.space { flex: 1; }
.hint { font-size: 12.5px; }
.split { display: grid; grid-template: minmax(0, 1fr) / minmax(130px, 190px) minmax(0, 1fr); gap: 14px; height: 100%; }
.list { display: flex; flex-direction: column; gap: 2px; overflow-y: auto; }
.list .item { display: flex; justify-content: space-between; gap: 8px; border-color: transparent; background: none; text-align: start; padding: 4px 8px; }
.list .item span:first-child { overflow: hidden; text-overflow: ellipsis; }
.list .item[aria-current] { background: var(--wash); font-weight: 600; }
.list .row { padding: 8px; font-size: 12.5px; }
.content { min-width: 0; min-height: 0; }
.rows { display: flex; flex-direction: column; gap: 8px; height: 100%; }
.rows > .area { display: flex; flex-direction: column; min-height: 0; }
.rows > .area > .grid { min-height: 120px; }
.rows > .footer { padding: 0; }
.report:empty { display: none; }
.bar select { max-width: min(100%, 300px); }
.bar h2 { flex: 1 1 160px; display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden; }
.bar h2 + .space { display: none; }
/* Shadows at the edges behind which there is more. */
.grid, .tabs, .list, .diagram { --ground: var(--card); background:
  linear-gradient(to right, var(--ground) 30%, transparent) left / 28px 100% no-repeat local,
  linear-gradient(to left, var(--ground) 30%, transparent) right / 28px 100% no-repeat local,
  linear-gradient(to right, var(--edge), transparent) left / 10px 100% no-repeat scroll,
  linear-gradient(to left, var(--edge), transparent) right / 10px 100% no-repeat scroll,
  var(--ground); }
.list { --ground: var(--paper); }
.late { font-size: 12.5px; visibility: hidden; animation: late 0s 3s forwards; }
@keyframes late { to { visibility: visible; } }
.empty { padding: 22px 12px; text-align: center; color: var(--soft); border: 1px dashed var(--line); border-radius: 8px; }
.grid { overflow: auto; border: 1px solid var(--line); border-radius: 8px; max-width: 100%; }
.grid .empty { border: 0; }
.rows .grid { max-height: 85vh; }
.outcome .grid { max-height: 62vh; }
table { border-collapse: collapse; font-size: 13px; min-width: 100%; }
th { position: sticky; top: 0; z-index: 1; background: var(--card); color: var(--soft); font-weight: 600; text-align: start; box-shadow: inset 0 -1px var(--line); }
td .values { max-height: 220px; overflow: auto; }
th, td { padding: 4px 10px; white-space: nowrap; max-width: 340px; overflow: hidden; text-overflow: ellipsis; }
td { border-top: 1px solid var(--line); text-align: start; }
tbody tr:hover { background: color-mix(in srgb, var(--wash) 45%, transparent); }
td:focus-visible { outline-offset: -2px; }
td input { width: 100%; min-width: 8em; padding: 1px 4px; margin: -2px -5px; }
td.wrap, .wrap { white-space: normal; overflow-wrap: anywhere; }
.changes td.wrap, .past td.wrap { min-width: 180px; }
.past td:first-child { min-width: 92px; white-space: normal; }
td > .wrap { display: block; min-width: 180px; }
td:has(.sql) { max-width: none; }
td .sql { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 3; width: max-content; max-width: max(45cqw, 220px); overflow: hidden; white-space: pre-wrap; overflow-wrap: anywhere; }
.number { text-align: end; font-variant-numeric: tabular-nums; }
td.null, td.blank { color: var(--soft); font-style: italic; }
td.blob { font-family: var(--mono); font-size: 12px; color: var(--type); }
tr.pending td:first-child { box-shadow: inset 3px 0 var(--warn); }
.sort { border: 0; padding: 0; background: none; font-weight: inherit; color: inherit; }
.badge { display: inline-block; padding: 0 7px; border-radius: 9px; font-size: 12px; line-height: 18px; background: var(--wash); color: var(--ink); white-space: nowrap; }
.badge.pending, .badge.modified, .badge.warning, .badge.out_of_order, .badge.degraded, .badge.released, .badge.update, .badge.changed { background: var(--warn-wash); color: var(--warn); }
.badge.missing, .badge.lost, .badge.failed, .badge.delete, .badge.deleted { background: var(--bad-wash); color: var(--bad); }
.problem { border: 1px solid var(--bad); background: var(--bad-wash); border-radius: 8px; padding: 10px 12px; display: flex; flex-direction: column; gap: 4px; overflow-wrap: anywhere; }
.problem a { color: inherit; }
.problem .soft { color: var(--ink); }
.place { white-space: pre-wrap; }
mark { background: var(--bad); color: var(--card); border-radius: 3px; padding: 0 2px; }
pre { overflow: auto; padding: 10px 12px; border: 1px solid var(--line); border-radius: 8px; background: var(--card); max-height: 400px; }
.editor { border: 1px solid var(--line); border-radius: 8px; overflow: hidden; }
.editor > p { padding: 10px; }
.plan { border-inline-start: 1px solid var(--line); margin-inline-start: 6px; padding-inline-start: 12px; }
.outcome > .plan { border: 0; padding: 0; margin: 0; }
.plan li { padding: 2px 0; overflow-wrap: anywhere; }
.diagram { overflow: auto; border: 1px solid var(--line); border-radius: 8px; max-height: 70vh; }
.diagram svg { display: block; font: 12px var(--mono); }
.diagram text { fill: var(--ink); }
.diagram .frame { fill: var(--paper); stroke: var(--line); }
.diagram .head { fill: var(--wash); }
.diagram .name { font-weight: 700; }
.diagram .key { font-weight: 600; }
.diagram .type { fill: var(--soft); text-anchor: end; }
.diagram .type.start { text-anchor: start; }
.diagram .box { cursor: pointer; }
.diagram .edge { fill: none; stroke: var(--accent); stroke-width: 1.5; }
.diagram .edge:hover { stroke-width: 3; }
.diagram .end { fill: var(--accent); }
.object { border: 1px solid var(--line); border-radius: 8px; background: var(--card); padding: 0 12px; }
.object[open] { padding-bottom: 12px; }
.object > summary { padding: 8px 0; cursor: pointer; overflow-wrap: anywhere; }
.object > * + * { margin-top: 8px; }
.object > summary + * { margin-top: 0; }
dl { display: grid; grid-template-columns: minmax(90px, max-content) minmax(0, 1fr); gap: 4px 16px; }
dt { color: var(--soft); }
dd { overflow-wrap: anywhere; }
.tiles, .charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(max(145px, 22cqw), 1fr)); gap: 10px; }
.charts { grid-template-columns: repeat(auto-fill, minmax(max(145px, 30cqw), 1fr)); }
.card { border: 1px solid var(--line); border-radius: 8px; background: var(--card); padding: 10px 12px; display: flex; flex-direction: column; gap: 6px; min-width: 0; overflow-wrap: anywhere; }
.tile { gap: 0; }
.tile b { font-size: 19px; }
.tile.ok b { color: var(--good); }
.tile.degraded b { color: var(--warn); }
.tile.failed b { color: var(--bad); }
.chart figcaption { display: flex; flex-direction: column; }
.chart svg { width: 100%; height: 48px; display: block; }
.chart .axis, .timeline .axis { stroke: var(--line); fill: none; vector-effect: non-scaling-stroke; }
.chart .line { stroke: var(--accent); stroke-width: 1.5; fill: none; vector-effect: non-scaling-stroke; }
.timeline svg { display: block; }
.timeline .commits { stroke: var(--soft); stroke-width: 1; vector-effect: non-scaling-stroke; }
.timeline .dense { opacity: 0.35; }
.timeline .chosen { stroke: var(--accent); stroke-width: 2; vector-effect: non-scaling-stroke; }
.timeline .snapshot { stroke: var(--accent); stroke-width: 12; stroke-linecap: round; vector-effect: non-scaling-stroke; cursor: pointer; }
.timeline .snapshot.safety, .timeline .snapshot.hidden { stroke: var(--soft); }
.snapshots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 330px), 1fr)); gap: 10px; }
.snapshots > .empty { grid-column: 1 / -1; }
.pair { display: inline-block; margin-inline-end: 12px; }
.pair b { color: var(--soft); font-weight: 500; }
del { color: var(--bad); text-decoration: line-through; }
ins { color: var(--good); text-decoration: none; font-weight: 600; }
dialog { border: 1px solid var(--line); border-radius: 10px; background: var(--card); color: var(--ink); padding: 16px; width: min(640px, calc(100vw - 24px)); max-height: calc(100dvh - 24px); overflow: auto; }
dialog::backdrop { background: rgb(0 0 0 / 45%); }
dialog > * + * { margin-top: 12px; }
dialog p { overflow-wrap: anywhere; }
dialog textarea { width: 100%; font-family: var(--mono); }
dialog .value { white-space: pre-wrap; overflow-wrap: anywhere; }
@container inspector (max-width: 620px) {
  .split { grid-template: auto minmax(0, 1fr) / minmax(0, 1fr); gap: 8px; }
  .list { flex-direction: row; overflow: auto hidden; padding-bottom: 4px; scrollbar-width: thin; }
  .list .item, .list .row { flex: none; }
  .body { padding: 10px; }
  th, td { max-width: 200px; padding: 4px 8px; }
  .changes td:nth-child(2) { max-width: 90px; }
  :is([data-conflict], [data-rejected]) td { min-width: 80px; max-width: 110px; white-space: normal; overflow-wrap: anywhere; }
  :is([data-conflict], [data-rejected]) td > * { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 6; overflow: hidden; }
  .bar h2 { flex-basis: 90px; }
  .hint { display: none; }
  .bar input[type="search"] { flex: 1 1 120px; width: 0; }
  dl { grid-template-columns: minmax(0, 1fr); gap: 0; }
  dd { margin-bottom: 6px; }
}
`

let shared: CSSStyleSheet | undefined

/** The one sheet of all inspectors of a page. */
export function sheet(): CSSStyleSheet {
  if (shared === undefined) {
    shared = new CSSStyleSheet()
    shared.replaceSync(text)
  }
  return shared
}
