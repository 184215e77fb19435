/** The bench's arithmetic: what it measures depends on the machine, how it judges does not. */
import { describe, expect, test } from "vitest";
import { barChart } from "../../../scripts/bench/chart.ts";
import type { Sample } from "../../../scripts/bench/metrics.ts";
import { markdown, rowsOf } from "../../../scripts/bench/report.ts";
import { middleOf, type Results, ratioOf } from "../../../scripts/bench/results.ts";
import { verdictRows, verdictsOf } from "../../../scripts/bench/targets.ts";

const tcp = (bitsPerSecond: number, more: Sample = {}): Sample => ({
  tcp1: bitsPerSecond,
  tcp1back: bitsPerSecond,
  tcp4: bitsPerSecond,
  tcp4back: bitsPerSecond,
  ...more,
});

function resultsOf(
  samples: Record<string, readonly (Sample | null)[]>,
  more: Partial<Results> = {},
): Results {
  return {
    environment: {},
    options: { rounds: 3, seconds: 1, cipher: "aes256gcm16" },
    wires: ["offloads"],
    peers: Object.keys(samples),
    absent: [],
    roles: { wireguardWithOffloads: "wireguard-go 2025" },
    samples: { offloads: samples },
    remarks: [],
    ...more,
  };
}

describe("figures", () => {
  test("a ratio is the median of the rounds' ratios, and a round that failed for one is none", () => {
    const results = resultsOf({
      ours: [tcp(3), tcp(8), tcp(30), tcp(7)],
      strongSwan: [tcp(1), tcp(2), tcp(3), null],
    });
    // 3, 4 and 10; the ratio of the medians would be 7.5 / 2.
    expect(ratioOf(results, "offloads", "tcp", ["ours", "strongSwan"])).toBe(4);
    expect(middleOf(results, "offloads", "strongSwan", "tcp")).toBe(2);
    expect(middleOf(results, "offloads", "OpenVPN", "tcp")).toBeUndefined();
    expect(ratioOf(results, "plain", "tcp", ["ours", "strongSwan"])).toBeUndefined();
  });

  test("a mean of transfers needs all of them", () => {
    const results = resultsOf({ ours: [{ tcp1: 1, tcp4: 3 }] });
    expect(middleOf(results, "offloads", "ours", "tcp")).toBeUndefined();
    expect(middleOf(results, "offloads", "ours", "tcp4")).toBe(3);
  });

  test("what could not be measured is said in the table", () => {
    const results = resultsOf(
      { ours: [tcp(2e9)], strongSwan: [tcp(1e9)] },
      { absent: [{ name: "OpenVPN", why: "openvpn" }] },
    );
    const [head, first] = rowsOf(results, "offloads");
    expect(head).toEqual(["median", "ours", "strongSwan", "OpenVPN"]);
    expect(first).toEqual(["TCP, 1 stream, A to B, Gbit/s", "2.00", "1.00 (2.00x)", "not there"]);
    expect(markdown([head!, first!]).split("\n")[1]).toBe("| --- | ---: | ---: | ---: |");
  });
});

describe("targets", () => {
  const verdictOf = (results: Results, title: RegExp) =>
    verdictsOf(results)
      .filter((one) => title.test(one.title))
      .map(({ verdict }) => verdict);
  const against = (own: number, other: number) =>
    resultsOf({ ours: [tcp(own)], "wireguard-go 2025": [tcp(other)] });

  test("three times the throughput is met from three times on", () => {
    expect(verdictOf(against(3, 1), /^TCP .*2025/)).toEqual(["met"]);
    expect(verdictOf(against(2.99, 1), /^TCP .*2025/)).toEqual(["not met"]);
    expect(verdictOf(resultsOf({ ours: [tcp(3)] }), /^TCP .*2025/)).toEqual(["not measured"]);
  });

  test("latency and CPU are limits from above", () => {
    const of = (value: number) =>
      resultsOf({
        ours: [tcp(1, { loadedP99: value, gatewaySecondsPerGb: value })],
        "wireguard-go 2025": [tcp(1, { loadedP99: 1, gatewaySecondsPerGb: 1 })],
      });
    expect(verdictOf(of(1), /load, p99/)).toEqual(["met"]);
    expect(verdictOf(of(1.01), /load, p99/)).toEqual(["not met"]);
    expect(verdictOf(of(0.5), /CPU/)).toEqual(["not met"]);
    expect(verdictOf(of(0.33), /CPU/)).toEqual(["met"]);
  });

  test("beside each ratio stands what the native loop reached in the same rounds", () => {
    const results = resultsOf({
      ours: [{ gatewaySecondsPerGb: 5 }],
      "native loop": [{ gatewaySecondsPerGb: 4 }],
      "wireguard-go 2025": [{ gatewaySecondsPerGb: 10 }],
    });
    const row = (of: Results) => verdictRows(of).find(([title]) => title!.startsWith("CPU seconds per GB"));
    expect(row(results)?.slice(2)).toEqual(["at most 0.33", "0.50", "not met", "0.40"]);
    expect(
      row({ ...results, samples: { offloads: { ...results.samples["offloads"], "native loop": [] } } })?.at(
        -1,
      ),
    ).toBe("-");
  });

  test("memory and garbage have bounds of their own", () => {
    const of = (more: Sample) => resultsOf({ ours: [tcp(1, more)] });
    expect(verdictOf(of({ resident: 151e6 }), /memory/)).toEqual(["not met"]);
    expect(verdictOf(of({ resident: 149e6 }), /memory/)).toEqual(["met"]);
    expect(verdictOf(of({ minorCollections: 1 }), /collections/)).toEqual(["not met"]);
    expect(verdictOf(of({ minorCollections: 0 }), /collections/)).toEqual(["met"]);
    expect(verdictOf(of({}), /collections/)).toEqual([]);
  });
});

test("a chart's longest bar has the width that there is, and names are text", () => {
  const svg = barChart(
    "Rate",
    [
      {
        title: "here",
        bars: [
          { name: "a<b", value: 2, isOurs: true },
          { name: "c", value: 1, isOurs: false },
        ],
      },
    ],
    { unit: "Gbit/s", digits: 1 },
  );
  expect(svg).toContain("a&lt;b");
  const widths = [...svg.matchAll(/<rect [^>]*width="([\d.]+)"/g)].map((found) => Number(found[1]));
  expect(widths[0]! / widths[1]!).toBeCloseTo(2);
  expect(Math.max(...widths)).toBeLessThan(720);
});
