/** Bar charts as SVG, readable on light and dark pages. */

export interface Bar {
  readonly name: string;
  readonly value: number;
  /** Ours stand out. */
  readonly isOurs: boolean;
}
export interface BarGroup {
  readonly title: string;
  readonly bars: readonly Bar[];
}

const WIDTH = 720;
const LABEL_WIDTH = 170;
const VALUE_WIDTH = 80;
const BAR_HEIGHT = 20;
const GAP = 6;
const HEAD = 34;
const GROUP_HEAD = 30;

const escaped = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/** @param digits  after the point, of the figures at the bars */
export function barChart(
  title: string,
  groups: readonly BarGroup[],
  { unit, digits }: { readonly unit: string; readonly digits: number },
): string {
  const most = Math.max(...groups.flatMap(({ bars }) => bars.map(({ value }) => value)), Number.MIN_VALUE);
  const scale = (WIDTH - LABEL_WIDTH - VALUE_WIDTH) / most;
  const parts: string[] = [];
  let y = HEAD;
  for (const group of groups) {
    parts.push(`<text class="group" x="0" y="${y + 18}">${escaped(group.title)}</text>`);
    y += GROUP_HEAD;
    for (const { name, value, isOurs } of group.bars) {
      const width = Math.max(1, value * scale).toFixed(1);
      const middle = y + BAR_HEIGHT / 2 + 4;
      parts.push(
        `<text x="${LABEL_WIDTH - 8}" y="${middle}" text-anchor="end">${escaped(name)}</text>`,
        `<rect class="${isOurs ? "ours" : "other"}" x="${LABEL_WIDTH}" y="${y}" width="${width}" height="${BAR_HEIGHT}" rx="2"/>`,
        `<text x="${(LABEL_WIDTH + Number(width) + 6).toFixed(1)}" y="${middle}">${value.toFixed(digits)}</text>`,
      );
      y += BAR_HEIGHT + GAP;
    }
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y + GAP}" role="img" aria-label="${escaped(title)}">
<style>
text { font: 13px system-ui, sans-serif; fill: #333; }
.title { font-size: 16px; font-weight: 600; }
.group { font-weight: 600; }
.ours { fill: #2a7de1; }
.other { fill: #a7b1bd; }
@media (prefers-color-scheme: dark) { text { fill: #ddd; } .other { fill: #66707c; } }
</style>
<text class="title" x="0" y="18">${escaped(title)}, ${escaped(unit)}</text>
${parts.join("\n")}
</svg>
`;
}
