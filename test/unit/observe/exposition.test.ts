/** Prometheus' text format. */
import { expect, test } from "vitest";
import { Exposition, labelText } from "../../../src/observe/exposition.ts";

test("a family has its help, its type and its samples; one without samples is left out", () => {
  const out = new Exposition();
  out.add("a_total", "counter", "Of a.", [
    [labelText({ connection: "paris" }), 3],
    ["", Number.POSITIVE_INFINITY],
  ]);
  out.add("b", "gauge", "Of b.", []);
  out.one("c", "gauge", "Of c.", 0.25);
  out.one("d", "gauge", "Of d.", undefined);
  expect(out.text()).toBe(
    '# HELP a_total Of a.\n# TYPE a_total counter\na_total{connection="paris"} 3\na_total +Inf\n# HELP c Of c.\n# TYPE c gauge\nc 0.25\n',
  );
});

test("no value of a label ends it, or its line", () => {
  expect(labelText({ a: 'x"} 1\ny \\ \r\u001b[2J' })).toBe('{a="x\\"} 1\\ny \\\\ ??[2J"}');
});
