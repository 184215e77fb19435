/** Children as routes see them: peers and the largest inner packet. */
import { expect, test } from "vitest";
import { formatIpAddress } from "../../../src/base/ip-address.ts";
import { Spi } from "../../../src/base/spi.ts";
import { loadConfiguration } from "../../../src/config/load.ts";
import type { GatewayConfiguration } from "../../../src/gateway/gateway-configuration.ts";
import { lastSequenceNumber, manualSaCommands } from "../../../src/gateway/manual-sa.ts";
import { createPathTable, DEFAULT_PATH_MTU } from "../../../src/gateway/path-table.ts";
import { deviceMtu, routedChildren } from "../../../src/gateway/routed-children.ts";
import { endpoint, HANDLING, SUITES, selectors } from "../dataplane/gateway-fixture.ts";

const noCap = () => undefined;
const noSas = () => [];

function configuration(more: string): GatewayConfiguration {
  const text = `version: 1
connections:
  paris:
    psk: { env: KEY }
${more}
    children:
      lan: { local: [10.1.0.0/16], remote: [10.2.0.0/16], esp: [aes256gcm16, aes256-sha256] }
`;
  return loadConfiguration("/t/tungate.yaml", {
    readFile: () => ({ kind: "file", bytes: new TextEncoder().encode(text), mode: 0o600 }),
    environment: () => "a pre-shared key that is long enough",
    wallClock: () => 0,
  });
}

function pathsWith(mtu: number, remote = "198.51.100.2") {
  const paths = createPathTable([]);
  paths.set(new Map([[remote, { source: endpoint("192.0.2.1").address, mtu }]]));
  return paths;
}

function mtuOf(more: string, paths = pathsWith(1500)) {
  return routedChildren(configuration(more), paths, noCap, noSas)[0]!.mtu;
}

test("the suite that leaves the least room decides: CBC with HMAC in UDP over IPv4", () => {
  // 1500 - 28 - 8 - 16 IV - 16 ICV = 1432, down to a multiple of 16 is 1424, less the trailer's 2.
  expect(mtuOf("    remote: { address: 198.51.100.2 }")).toEqual({ ipv4: 1422, ipv6: 1422 });
});

test("raw ESP has eight octets more room, which here come to nothing for want of a whole block", () => {
  expect(mtuOf("    remote: { address: 198.51.100.2 }\n    encapsulation: esp")).toEqual({
    ipv4: 1438,
    ipv6: 1438,
  });
});

test("once there are SAs, what they use decides; the device has room for any suite", () => {
  const one = configuration("    remote: { address: 198.51.100.2 }");
  const [child] = routedChildren(one, pathsWith(1500), noCap, (policy) =>
    policy === "paris/lan" ? [SUITES.aes256gcm16] : [],
  );
  expect(child!.mtu).toEqual({ ipv4: 1438, ipv6: 1438 });
  expect(child!.ceiling).toBe(1438);
  expect(child!.awaitsSuite).toBe(true);
  const [before] = routedChildren(one, pathsWith(1500), noCap, noSas);
  expect(before!.mtu).toEqual({ ipv4: 1422, ipv6: 1422 });
  expect(before!.ceiling).toBe(1438);
});

test("a path that is too narrow for IPv6 carries what every link has to: the lane fragments outside", () => {
  const narrow = pathsWith(1300);
  expect(mtuOf("    remote: { address: 198.51.100.2 }", narrow)).toEqual({ ipv4: 1230, ipv6: 1280 });
});

test("a peer that is not known yet is taken to be far away behind IPv6", () => {
  const [child] = routedChildren(
    configuration("    remote: { address: any, id: any }\n    keep: respond"),
    pathsWith(9000),
    noCap,
    noSas,
  );
  expect(child!.peers).toEqual([]);
  expect(child!.mtu?.ipv4).toBe(1406);
});

test("the operator's MTU is the most", () => {
  const config = configuration("    remote: { address: 198.51.100.2 }");
  expect(routedChildren(config, pathsWith(1500), () => 1400, noSas)[0]!.mtu).toEqual({
    ipv4: 1400,
    ipv6: 1400,
  });
  expect(routedChildren(config, pathsWith(1500), () => 9000, noSas)[0]!.mtu).toEqual({
    ipv4: 1422,
    ipv6: 1422,
  });
});

test("a device has the largest MTU of its children, and never less than IPv6 asks for", () => {
  const children = routedChildren(
    configuration("    remote: { address: 198.51.100.2 }"),
    pathsWith(1500),
    noCap,
    noSas,
  );
  expect(deviceMtu(children, "tungate0")).toBe(1438);
  expect(deviceMtu(children, "tun-other")).toBe(DEFAULT_PATH_MTU);
  const narrow = routedChildren(
    configuration("    remote: { address: 198.51.100.2 }"),
    pathsWith(1000),
    noCap,
    noSas,
  );
  expect(deviceMtu(narrow, "tungate0")).toBe(1280);
});

test("our address on the way: what the route says, unless listen leaves it out", () => {
  const listen = [endpoint("203.0.113.1").address, endpoint("2001:db8::1").address];
  const paths = createPathTable(listen);
  paths.set(new Map([["198.51.100.2", { source: endpoint("192.0.2.1").address, mtu: 1500 }]]));
  const textOf = (address: Uint8Array | undefined) => address && formatIpAddress(address);
  expect(textOf(paths.localAddressFor(endpoint("198.51.100.2").address))).toBe("203.0.113.1");
  expect(textOf(paths.localAddressFor(endpoint("2001:db8::2").address))).toBe("2001:db8::1");
  expect(textOf(pathsWith(1500).localAddressFor(endpoint("198.51.100.2").address))).toBe("192.0.2.1");
  expect(pathsWith(1500).localAddressFor(endpoint("198.51.100.3").address)).toBeUndefined();
});

test("a manual child's SAs: inbound first, raw ESP without ports, UDP with the NAT port", () => {
  const child = {
    policy: "paris/lan",
    selectors: selectors("10.1.0.0/16", "10.2.0.0/16"),
    priority: 0,
    interface: "tungate0",
    routes: "auto",
    remoteAddress: endpoint("198.51.100.2").address,
    encapsulation: "esp",
    remotePort: 4501,
    outbound: {
      spi: Spi(0x2002),
      suite: SUITES.aes256gcm16,
      keys: { encr: new Uint8Array(36), integ: new Uint8Array(0) },
    },
    inbound: {
      spi: Spi(0x1001),
      suite: SUITES.aes256gcm16,
      keys: { encr: new Uint8Array(36), integ: new Uint8Array(0) },
    },
    handling: HANDLING,
    place: { file: "t.yaml", line: 1 },
  } as const;
  const portsOf = (encapsulation: "esp" | "udp") =>
    manualSaCommands({ ...child, encapsulation }, endpoint("192.0.2.1").address, 4500, {
      first: 1,
      last: 9,
    }).map((command) =>
      "sa" in command ? [command.kind, command.sa.spi, command.sa.local.port, command.sa.remote.port] : [],
    );
  expect(portsOf("esp")).toEqual([
    ["addInboundSa", 0x1001, 0, 0],
    ["addOutboundSa", 0x2002, 0, 0],
  ]);
  expect(portsOf("udp")).toEqual([
    ["addInboundSa", 0x1001, 4500, 4501],
    ["addOutboundSa", 0x2002, 4500, 4501],
  ]);
});

test("the last number of a manual SA without ESN is 2^32 - 1", () => {
  expect(lastSequenceNumber(false)).toBe(2 ** 32 - 1);
  expect(lastSequenceNumber(true)).toBeGreaterThan(2 ** 50);
});
