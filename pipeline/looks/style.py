"""The style of a page: system fonts, light and dark, nothing from elsewhere."""

STYLE = """
:root {
  color-scheme: light dark;
  --back: #fbfaf8; --card: #ffffff; --ink: #1f2328; --soft: #59636e; --line: #d9d6d0;
  --band: #f1efea; --model: #7a5cc8; --model-ink: #ffffff; --ok: #2f7d5b; --failed: #c0392b;
  --unknown: #b7791f; --unsent: #7b8794; --lost: #c0392b; --in: #b9a8e6; --out: #6a48c0;
  --focus: #0b62d6; --code: #f4f2ee;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #16181c; --card: #1e2126; --ink: #e6e4e0; --soft: #9ba3ad; --line: #353a42;
    --band: #23272d; --model: #a78bfa; --model-ink: #16181c; --ok: #5cc49a; --failed: #f0796b;
    --unknown: #e3b15a; --unsent: #8a94a0; --lost: #f0796b; --in: #5d4f86; --out: #b9a3ff;
    --focus: #7db3ff; --code: #262a31;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--back); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif;
}
header, main, footer { max-width: 1080px; margin: 0 auto; padding: 0 20px; }
h1 { font-size: 22px; margin: 28px 0 10px; }
h2 { font-size: 16px; margin: 30px 0 10px; }
h3 { font-size: 15px; margin: 0; display: inline; }
code, pre, .mono { font: 13px/1.45 ui-monospace, "SF Mono", Menlo, "DejaVu Sans Mono", monospace; }
.foreign { unicode-bidi: isolate; overflow-wrap: anywhere; }
.skip { position: absolute; left: -9999px; }
.skip:focus { left: 12px; top: 12px; background: var(--card); padding: 8px 12px; z-index: 1; }
a { color: inherit; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; border-radius: 4px; }
dl.facts { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 0; }
dl.facts dt { color: var(--soft); }
dl.facts dd { margin: 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.scroll { overflow-x: auto; padding: 10px; }
svg { display: block; width: 100%; min-width: 760px; height: auto; }
svg text { font: 12px system-ui, "Liberation Sans", sans-serif; fill: var(--ink); }
svg .soft { fill: var(--soft); }
svg .small { font-size: 11px; }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .band { fill: var(--band); }
svg .fold { fill: var(--card); stroke: var(--line); stroke-dasharray: 2 3; }
svg .rule { stroke: var(--line); }
svg a rect { rx: 3px; }
svg a:focus-visible { outline: none; }
svg a:focus-visible rect, svg a:focus-visible circle, svg a:focus-visible path {
  stroke: var(--focus); stroke-width: 3px;
}
svg a:focus-visible text.name { text-decoration: underline; }
svg .tip { display: none; }
svg a:hover .tip, svg a:focus-visible .tip { display: block; }
svg:has(a:hover, g:hover > .tip, a:focus-visible) .hint { display: none; }
svg g:hover > .tip { display: block; }
svg:has(a:hover) a:focus-visible:not(:hover) .tip { display: none; }
svg .model { fill: var(--model); }
svg .ok { fill: var(--ok); }
svg .failed { fill: var(--failed); }
svg .unknown { fill: var(--unknown); }
svg .unsent { fill: var(--unsent); }
svg .open { fill: var(--card); stroke: var(--unknown); stroke-dasharray: 3 2; }
svg .think { fill: var(--model); opacity: 0.45; }
svg .lost { fill: var(--lost); opacity: 0.18; }
svg .lost-at { stroke: var(--lost); stroke-width: 2px; }
svg .mark { fill: var(--lost); }
svg text.in-bar { fill: var(--card); pointer-events: none; }
svg .tokens-in { fill: var(--in); }
svg .tokens-out { fill: var(--out); }
ul.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 8px 0 0; padding: 0;
  list-style: none; color: var(--soft); font-size: 13px; }
ul.legend svg { display: inline-block; width: 12px; min-width: 12px; height: 12px;
  vertical-align: -1px; margin-right: 6px; }
details.turn { margin: 0 0 10px; padding: 10px 14px; }
details.turn > summary { cursor: pointer; }
summary .meta, .right { color: var(--soft); font-size: 13px; white-space: nowrap; }
summary .meta { margin-left: 10px; }
ol.steps { list-style: none; margin: 10px 0 4px; padding: 0; }
ol.steps > li { display: grid; grid-template-columns: 74px 1fr max-content; gap: 0 12px;
  padding: 5px 0; border-top: 1px solid var(--line); }
ol.steps > li:target, details:target { background: var(--band); }
ol.between { margin: 0 0 10px; padding: 0 15px; }
ol.steps.between > li { border: 0; }
.who { color: var(--soft); font-size: 13px; }
.said { white-space: pre-wrap; margin: 0; }
.aside { color: var(--soft); font-size: 13px; margin: 0; }
pre { margin: 4px 0; padding: 8px 10px; background: var(--code); border-radius: 6px;
  white-space: pre-wrap; overflow-wrap: anywhere; max-height: 320px; overflow: auto; }
.pill { border: 1px solid currentcolor; border-radius: 99px; padding: 0 8px; font-size: 12px; }
.pill.ok, .t-ok { color: var(--ok); }
.pill.failed, .t-trouble { color: var(--failed); }
.pill.unknown, .pill.open, .t-unknown { color: var(--unknown); }
.pill.unsent { color: var(--unsent); }
.left-out { color: var(--soft); font-style: italic; }
footer { color: var(--soft); font-size: 13px; margin: 26px auto 40px; }
@media (max-width: 640px) {
  ol.steps > li { grid-template-columns: 1fr max-content; }
  ol.steps > li > .who { grid-column: 1 / -1; }
}
@media print { .skip { display: none; } pre { max-height: none; } }
@media (forced-colors: active) { svg rect { stroke: CanvasText; } }
"""
