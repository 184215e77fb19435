/** Which interfaces have to forward, what is said, what is switched on. */
import { expect, test } from "vitest";
import { IpAddress, parseIpAddress } from "../../../src/base/ip-address.ts";
import {
  neededSwitches,
  type SwitchBoard,
  settleForwarding,
  sysctlName,
} from "../../../src/daemon/forwarding.ts";
import type { HostNetwork } from "../../../src/io/netlink.ts";
import { selectors } from "../dataplane/gateway-fixture.ts";

const address = (text: string, link: number) => ({
  address: IpAddress(parseIpAddress(text)!),
  bits: 24,
  link,
  isUsable: true,
});
const NETWORK: HostNetwork = {
  links: [
    { index: 1, name: "lo", mtu: 65536, isUp: true },
    { index: 2, name: "wan0", mtu: 1500, isUp: true },
    { index: 3, name: "lan0", mtu: 1500, isUp: true },
  ],
  addresses: [
    address("127.0.0.1", 1),
    address("192.0.2.1", 2),
    address("10.1.0.1", 3),
    address("fd01::1", 3),
  ],
};

function board(state: Record<string, boolean>, mayWrite = true): SwitchBoard {
  return {
    read: (path) => state[path],
    turnOn(path) {
      if (mayWrite) state[path] = true;
      return mayWrite;
    },
  };
}

const LAN = "/proc/sys/net/ipv4/conf/lan0/forwarding";
const TUN = "/proc/sys/net/ipv4/conf/tungate0/forwarding";
const ALL6 = "/proc/sys/net/ipv6/conf/all/forwarding";

test("LANs with an address inside a local selector and the TUN devices have to forward", () => {
  const paths = (local: string, remote: string) =>
    neededSwitches(NETWORK, ["tungate0"], [selectors(local, remote)]).map(({ path }) => path);
  expect(paths("10.1.0.0/16", "10.2.0.0/16")).toEqual([LAN, TUN]);
  expect(paths("fd01::/32", "fd02::/32")).toEqual([ALL6]);
});

test("a selector for the host itself needs no forwarding", () => {
  expect(neededSwitches(NETWORK, ["tungate0"], [selectors("10.1.0.1", "10.2.0.0/16")])).toEqual([]);
});

test("check says what is off, with the command, and changes nothing", () => {
  const state = { [LAN]: false, [TUN]: true };
  const switches = neededSwitches(NETWORK, ["tungate0"], [selectors("10.1.0.0/16", "10.2.0.0/16")]);
  const sentences = settleForwarding("check", switches, board(state));
  expect(sentences).toEqual([expect.stringContaining("sysctl -w net.ipv4.conf.lan0.forwarding=1")]);
  expect(state[LAN]).toBe(false);
});

test("lan switches on what may be, and the host's IPv6 switch never", () => {
  const state = { [LAN]: false, [TUN]: false, [ALL6]: false };
  const switches = neededSwitches(
    NETWORK,
    ["tungate0"],
    [selectors("10.1.0.0/16, fd01::/32", "10.2.0.0/16, fd02::/32")],
  );
  const sentences = settleForwarding("lan", switches, board(state));
  expect(state).toEqual({ [LAN]: true, [TUN]: true, [ALL6]: false });
  expect(sentences).toEqual([expect.stringContaining("net.ipv6.conf.all.forwarding=1")]);
});

test("a switch that this user may not turn is said", () => {
  const state = { [LAN]: false, [TUN]: false };
  const switches = neededSwitches(NETWORK, ["tungate0"], [selectors("10.1.0.0/16", "10.2.0.0/16")]);
  expect(settleForwarding("lan", switches, board(state, false))).toHaveLength(2);
});

test("a switch that the kernel does not have is nobody's fault", () => {
  const switches = neededSwitches(NETWORK, ["tungate0"], [selectors("10.1.0.0/16", "10.2.0.0/16")]);
  expect(settleForwarding("check", switches, board({}))).toEqual([]);
});

test("the dot in the name of a VLAN's device is a slash for sysctl", () => {
  expect(sysctlName("/proc/sys/net/ipv4/conf/lan0.7/forwarding")).toBe("net.ipv4.conf.lan0/7.forwarding");
});
