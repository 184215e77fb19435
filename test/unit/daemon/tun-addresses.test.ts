/** Addresses come to the TUN devices that the configuration gives them, and go again, but never those of others. */
import { expect, test } from "vitest";
import type { InterfaceAddress } from "../../../src/base/address-range.ts";
import { formatIpAddress, parseIpAddress } from "../../../src/base/ip-address.ts";
import type { TunSettings } from "../../../src/config/configuration.ts";
import { type GivenAddress, TunAddresses } from "../../../src/daemon/tun-addresses.ts";
import type { HostNetwork } from "../../../src/io/netlink.ts";

const address = (text: string): InterfaceAddress => {
  const [first, bits] = text.split("/");
  return { address: parseIpAddress(first!)!, bits: Number(bits) };
};
const device = (name: string, ...own: string[]) =>
  ({ name, addresses: own.map(address) }) as unknown as TunSettings;

/** Two devices of a host that does as it is told. */
function makeHost(...others: string[]) {
  const there = new Set(others);
  let given: readonly GivenAddress[] = [];
  const done: string[] = [];
  const change = (what: string) => async (index: number, one: InterfaceAddress) => {
    const text = `${index} ${formatIpAddress(one.address)}/${one.bits}`;
    done.push(`${what} ${text}`);
    if (what === "add") there.add(text);
    else there.delete(text);
  };
  const watch = { addAddress: change("add"), removeAddress: change("remove") };
  const start = () =>
    new TunAddresses(watch, given, (now) => {
      given = now;
    });
  let addresses = start();
  const settle = async (...devices: TunSettings[]) => {
    const network = {
      links: [
        { index: 3, name: "tungate0" },
        { index: 4, name: "tun1" },
      ],
      addresses: [...there].map((text) => {
        const [link, one] = text.split(" ");
        return { link: Number(link), ...address(one!), isUsable: true };
      }),
    } as unknown as HostNetwork;
    await addresses.settle(devices, network);
    return done.splice(0);
  };
  const restart = () => {
    addresses = start();
  };
  return { settle, restart, there, isKnown: () => given.length };
}

test("what is missing is added once, and what leaves the configuration goes", async () => {
  const { settle } = makeHost();
  const both = device("tungate0", "10.9.0.1/30", "2001:db8::1/64");
  expect(await settle(both, device("tun1"))).toEqual(["add 3 10.9.0.1/30", "add 3 2001:db8::1/64"]);
  expect(await settle(both)).toEqual([]);
  expect(await settle(device("tungate0", "2001:db8::1/64"))).toEqual(["remove 3 10.9.0.1/30"]);
  // Another length is another address; to another device it moves.
  expect(await settle(device("tungate0", "2001:db8::1/48"))).toEqual([
    "remove 3 2001:db8::1/64",
    "add 3 2001:db8::1/48",
  ]);
  expect(await settle(device("tungate0"), device("tun1", "2001:db8::1/48"))).toEqual([
    "remove 3 2001:db8::1/48",
    "add 4 2001:db8::1/48",
  ]);
});

test("what others gave the device stays, also what the configuration wanted as well", async () => {
  const { settle } = makeHost("3 10.9.0.1/30", "3 10.9.0.9/32");
  expect(await settle(device("tungate0", "10.9.0.1/30"))).toEqual([]);
  expect(await settle(device("tungate0"))).toEqual([]);
});

test("what somebody has taken away already is not taken away again", async () => {
  const { settle, there } = makeHost();
  await settle(device("tungate0", "10.9.0.1/30"));
  there.clear();
  expect(await settle(device("tungate0"))).toEqual([]);
});

test("the next process takes away what this one gave, and nothing of others", async () => {
  const { settle, restart, isKnown } = makeHost("3 10.9.0.9/32");
  await settle(device("tungate0", "10.9.0.1/30", "10.9.0.9/32"));
  restart();
  expect(await settle(device("tungate0", "10.9.0.1/30"))).toEqual([]);
  restart();
  expect(await settle(device("tungate0"))).toEqual(["remove 3 10.9.0.1/30"]);
  expect(isKnown()).toBe(0);
});

test("what is about to be given is told before: a process that is killed in between leaves nothing that nobody knows", async () => {
  const told: number[] = [];
  const failing = () => Promise.reject(new Error("killed"));
  const addresses = new TunAddresses({ addAddress: failing, removeAddress: failing }, [], (given) =>
    told.push(given.length),
  );
  const network = { links: [{ index: 3, name: "tungate0" }], addresses: [] } as unknown as HostNetwork;
  const wanted = device("tungate0", "10.9.0.1/30", "10.9.0.2/30", "10.9.0.3/30");
  await expect(addresses.settle([wanted], network)).rejects.toThrow("killed");
  // Of all of them at once: each time the whole state is kept.
  expect(told).toEqual([3]);
});
