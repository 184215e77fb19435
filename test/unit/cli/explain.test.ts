/** What `tungate explain` prints: ways, what to do, and what it does not see. */
import { expect, test } from "vitest";
import { explainLines } from "../../../src/cli/explain.ts";
import { screenOf } from "../../../src/cli/terminal.ts";

const way = {
  way: "out",
  packet: "udp 10.1.0.2 -> 10.2.0.2\u001b[2J",
  steps: [{ step: "route", label: "route", lines: ["into the tunnel, tungate0"] }],
  fate: "protected",
  fateText: "it leaves protected",
} as const;

test("nothing that could command the terminal, and the packet filter is named as what was not asked", () => {
  const lines = explainLines({ ways: [{ ...way, steps: [...way.steps] }] } as never, screenOf(undefined));
  expect(lines[0]).toBe("udp 10.1.0.2 -> 10.2.0.2?[2J");
  expect(lines.join("\n")).not.toContain("\u001b");
  expect(lines.at(-1)).toMatch(/^ {2}not seen {4}what this host's packet filter drops/);
});

test("what to do comes before it", () => {
  const next = { code: "bringUp", lines: ["do it now:", "tungate up a/b"] };
  const lines = explainLines({ ways: [way], next } as never, screenOf(undefined));
  expect(lines.slice(-3).map((line) => line.slice(0, 20).trim())).toEqual([
    "next        do it",
    "tungat",
    expect.stringMatching(/^not seen/),
  ]);
});
