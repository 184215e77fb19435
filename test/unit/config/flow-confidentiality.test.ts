import { expect, test } from "vitest";
import { DurationMs } from "../../../src/base/instant.ts";
import { ConfigError } from "../../../src/config/config-error.ts";
import { Findings } from "../../../src/config/findings.ts";
import { flowHandling } from "../../../src/config/flow-confidentiality.ts";
import { readYaml } from "../../../src/config/yaml-text.ts";
import { load } from "./memory-reader.ts";

const child = (keys: string) =>
  `connections: { paris: { remote: { address: 198.51.100.2 }, psk: { file: secrets/paris }, children: { lan: { local: 10.1.0.0/16, remote: 10.2.0.0/16, ${keys} } } } }`;
const handlingOf = (keys: string) => load(child(keys)).connections[0]!.connection.children[0]!.handling;

function refusalOf(keys: string): string {
  try {
    load(child(keys));
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  return "accepted";
}

test("tfc takes a way to pad, or a mapping with dummies", () => {
  const tfc = { padTo: 0, dummiesPerSecond: 0, isRefused: false };
  expect(handlingOf("tfc: mtu").tfc).toEqual({ ...tfc, padTo: "mtu" });
  expect(handlingOf("tfc: 1200").tfc).toEqual({ ...tfc, padTo: 1200 });
  expect(handlingOf("tfc: off").tfc).toEqual(tfc);
  expect(handlingOf("tfc: refuse").tfc).toEqual({ ...tfc, isRefused: true });
  expect(handlingOf("tfc: { pad: mtu, dummies: 20 }").tfc).toEqual({
    ...tfc,
    padTo: "mtu",
    dummiesPerSecond: 20,
  });
  expect(handlingOf("priority: 1").tfc).toBeUndefined();
});

test("iptfs has a mode, and what the mode needs", () => {
  expect(
    handlingOf("iptfs: { mode: constant, rate: 10Mbit, packet_size: 1000, fragment: false }").aggfrag,
  ).toEqual({
    mode: "constant",
    octetsPerSecond: 1_250_000,
    packetSize: 1000,
    delay: 1,
    mayFragment: false,
    reorderWindow: 3,
    congestion: "off",
  });
  expect(
    handlingOf("iptfs: { mode: constant, rate: 1Mbit, congestion_control: ecn }").aggfrag?.congestion,
  ).toBe("ecn");
  expect(handlingOf("iptfs: { mode: aggregate, delay: 5ms, reorder: 0 }").aggfrag).toMatchObject({
    mode: "aggregate",
    delay: 5,
    reorderWindow: 0,
    packetSize: "mtu",
  });
});

test("what cannot be is refused in words", () => {
  expect(refusalOf("iptfs: { mode: constant }")).toContain("needs rate");
  expect(refusalOf("iptfs: { mode: constant, rate: 10 }")).toContain("is no bandwidth");
  expect(refusalOf("iptfs: { mode: constant, rate: 1kbit }")).toContain("out of range");
  expect(refusalOf("iptfs: { mode: constant, rate: 1Mbit, delay: 1ms }")).toContain(
    "means nothing with mode: constant",
  );
  expect(refusalOf("iptfs: { mode: aggregate, rate: 1Mbit }")).toContain(
    "means nothing with mode: aggregate",
  );
  expect(refusalOf("iptfs: { mode: aggregate, congestion_control: loss }")).toContain(
    "means nothing with mode: aggregate",
  );
  expect(refusalOf("iptfs: { mode: constant, rate: 1Mbit, congestion_control: on }")).toContain("loss");
  expect(refusalOf("iptfs: { mode: aggregate }, tfc: mtu")).toContain("does not go with iptfs");
  expect(refusalOf("iptfs: { mode: aggregate }, tfc: { dummies: 5 }")).toContain("does not go with iptfs");
  expect(refusalOf("iptfs: { mode: aggregate, fragment: maybe }")).toContain("has to be true or false");
  expect(refusalOf("tfc: sometimes")).toContain("is no way to pad");
  expect(refusalOf("tfc: 10")).toContain("out of range");
});

test("padding and payloads of their own are for tunnel mode and ESP; dummies go with transport mode", () => {
  const refusals = (input: Parameters<typeof flowHandling>[0]) => {
    const findings = new Findings("file", readYaml("{}"));
    flowHandling(input, [], findings);
    return findings.problems.map(({ message }) => message);
  };
  const iptfs = { mode: "aggregate", delay: DurationMs(1) } as const;
  expect(refusals({ mode: "transport", iptfs })).toEqual([
    "does not go with mode: transport; leave one of them out",
  ]);
  expect(refusals({ mode: "transport", tfc: { pad: "mtu" } })).toHaveLength(1);
  expect(refusals({ mode: "transport", tfc: { dummies: 5 } })).toEqual([]);
  expect(refusals({ mode: "tunnel", iptfs })).toEqual([]);
});
