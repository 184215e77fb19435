/** `gateway.metrics`: what it may be, and that others than this machine are warned about. */
import { expect, test } from "vitest";
import { load, placesOf } from "./memory-reader.ts";

const gateway = (metrics: string) => `gateway:\n  metrics: ${metrics}\n`;

test.each([
  ["127.0.0.1:9464", { address: "127.0.0.1", port: 9464, hosts: [] }],
  ['"[::1]:9464"', { address: "::1", port: 9464, hosts: [] }],
  [
    "{ listen: 127.0.0.1:1, hosts: GW.example.net }",
    { address: "127.0.0.1", port: 1, hosts: ["gw.example.net"] },
  ],
])("%s is taken, and nothing is said of it", (text, expected) => {
  const configuration = load(gateway(text));
  expect(configuration.gateway.metrics).toEqual(expected);
  expect(configuration.warnings).toEqual([]);
});

test("nothing listens unless it is asked for", () => {
  expect(load("gateway: {}\n").gateway.metrics).toBeUndefined();
});

test.each(["0.0.0.0:9464", '"[::]:9464"', "192.0.2.1:9464"])("%s is warned about", (text) => {
  const { warnings } = load(gateway(text));
  expect(warnings).toMatchObject([{ code: "CONFIG_METRICS_OPEN", line: 2, path: "gateway.metrics" }]);
});

test.each([
  ["127.0.0.1", "CONFIG_BAD_VALUE 2:12 gateway.metrics.listen"],
  ["9464", "CONFIG_QUOTE_IT 2:12 gateway.metrics.listen"],
  ["127.0.0.1:0", "CONFIG_BAD_VALUE 2:12 gateway.metrics.listen"],
  ["127.0.0.1:65536", "CONFIG_BAD_VALUE 2:12 gateway.metrics.listen"],
  ["localhost:9464", "CONFIG_BAD_VALUE 2:12 gateway.metrics.listen"],
  ['"::1:9464"', "CONFIG_BAD_VALUE 2:12 gateway.metrics.listen"],
  ['"[127.0.0.1]:9464"', "CONFIG_BAD_VALUE 2:12 gateway.metrics.listen"],
  ['{ listen: 127.0.0.1:1, hosts: "http://gw" }', "CONFIG_BAD_VALUE 2:42 gateway.metrics.hosts"],
  ["{ hosts: [gw] }", "CONFIG_MISSING_KEY 2:3 gateway.metrics.listen"],
])("%s is refused at its place", (text, place) => {
  expect(placesOf(gateway(text))).toEqual([place]);
});
