/** How long a configuration may be: what a gateway with as many peers as are supported writes. */
import { expect, test } from "vitest";
import { CONFIGURATION_OCTETS_MAX } from "../../../src/config/load.ts";
import { readYaml, VALUES_MAX } from "../../../src/config/yaml-text.ts";
import { KEY, load, placesOf } from "./memory-reader.ts";

const CONNECTIONS = 10_000;

/** A connection as somebody writes it who leaves nothing to what is usual. */
const connection = (index: number) => `  branch-office-${index}:
    local: { address: 192.0.2.1, id: gateway.example.com }
    remote:
      address: [198.18.${Math.floor(index / 250)}.${(index % 250) + 1}, branch-office-${index}.dyn.example.com]
      port: 500
      id: branch-office-${index}.example.com
    auth: psk
    psk: { file: secrets/branch-office-${index}.psk }
    keep: respond
    encapsulation: auto
    interface: { name: tungate0 }
    routes: auto
    ike:
      proposals: [aes256gcm16-prfsha384-x25519, aes256-sha256-ecp256]
      rekey: { time: 4h, jitter: 20% }
      liveness: 30s
      fragmentation: true
      mobike: false
      unique: replace
      childless: allow
    children:
      lan:
        local: [10.200.0.0/16, "10.201.0.0/24[tcp/443]"]
        remote: [10.${Math.floor(index / 250)}.${index % 250}.0/25, 10.${Math.floor(index / 250)}.${index % 250}.128/25]
        esp: [aes256gcm16-x25519, aes256-sha256-modp2048]
        keep: respond
        rekey: { time: 1h, jitter: 20%, bytes: 500GB, packets: 2000000000 }
        inactivity: 2h
        mode: tunnel
        priority: 0
        replay_window: 4096
        df: copy
        mtu: 1400
        mss: auto
        dscp: copy
        ecn: copy
        lane_sas: auto
        sa_per: auto
        rehearse: off
`;

const HEAD = "version: 1\nconnections:\n";
const LAST = CONNECTIONS - 1;

function valuesIn(value: unknown): number {
  if (typeof value !== "object" || value === null) return 1;
  return Object.values(value).reduce((sum: number, one) => sum + valuesIn(one), 1);
}

test("10,000 connections with everything written out are no longer than a configuration may be", () => {
  const files = { [`secrets/branch-office-${LAST}.psk`]: `${KEY}\n` };
  const one = HEAD + connection(LAST);
  expect(load(one, { files }).connections).toHaveLength(1);
  const { value } = readYaml(one);
  expect(CONNECTIONS * connection(LAST).length).toBeLessThan(CONFIGURATION_OCTETS_MAX);
  expect(CONNECTIONS * valuesIn(value)).toBeLessThan(VALUES_MAX);
});

test("a file with too many values is refused where they become too many", () => {
  const thousand = `[${"0,".repeat(1000)}]`;
  const repeated = `[${"*thousand,".repeat(VALUES_MAX / 1000)}]`;
  expect(placesOf(`x: &thousand ${thousand}\ny: ${repeated}\n`)[0]).toMatch(/^CONFIG_SYNTAX 1:\d+ y\[99\d\]/);
});
