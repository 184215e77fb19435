/** rtnetlink against the kernel of a namespace of our own: what is told, what is refused, and floods of changes. */
import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { IpAddress, parseIpAddress } from "../../../src/base/ip-address.ts";
import { IoError } from "../../../src/io/io-error.ts";
import { type NetworkWatch, watchNetwork } from "../../../src/io/netlink.ts";
import { RUN_TYPESCRIPT, typescriptWorker } from "../run-typescript.ts";
import type { Checks } from "./netns-checks.ts";

const address = (text: string) => IpAddress(parseIpAddress(text)!);
const ip = (...words: string[]) => execFileSync("ip", words, { encoding: "utf8" });
const batch = (lines: readonly string[]) =>
  execFileSync("ip", ["-force", "-batch", "-"], { input: lines.join("\n") });
const WATCHER = new URL("./netlink-watcher.ts", import.meta.url);

async function watching(check: (watch: NetworkWatch) => Promise<void>): Promise<void> {
  const watch = watchNetwork(() => undefined);
  try {
    await check(watch);
  } finally {
    watch.close();
  }
}

/** The device's index, up and with addresses. */
function device(name: string): number {
  ip("tuntap", "add", name, "mode", "tun");
  ip("link", "set", name, "up");
  ip("address", "add", "10.9.0.1/24", "dev", name);
  ip("-6", "address", "add", "fd09::1/64", "dev", name, "nodad");
  return (JSON.parse(ip("-j", "link", "show", name)) as { ifindex: number }[])[0]!.ifindex;
}

async function linksAndAddresses(): Promise<void> {
  const link = device("nl0");
  const held = async (watch: NetworkWatch) =>
    (await watch.snapshot()).addresses.filter((one) => one.link === link);
  await watching(async (watch) => {
    await watch.setLinkUp(link, 1400, 77);
    const found = (await watch.snapshot()).links.find(({ index }) => index === link);
    assert.deepEqual(found, { index: link, name: "nl0", mtu: 1400, isUp: true });
    assert.match(ip("link", "show", "nl0"), /qlen 77/);
    for (const [text, bits] of [
      ["10.8.0.1", 20],
      ["fd08::1", 64],
    ] as const) {
      const before = (await held(watch)).length;
      await watch.addAddress(link, { address: address(text), bits });
      const added = (await held(watch)).find((one) => Buffer.from(one.address).equals(address(text)));
      assert.equal(added?.bits, bits);
      await watch.removeAddress(link, { address: address(text), bits });
      assert.equal((await held(watch)).length, before);
    }
    const gone = { address: address("10.8.0.1"), bits: 20 };
    await assert.rejects(
      watch.removeAddress(link, gone),
      refusal(/take .* 10\.8\.0\.1\/20 .* EADDRNOTAVAIL/),
    );
    await assert.rejects(watch.setLinkUp(9999, 1400), refusal(/bring up link 9999 .* ENODEV/));
  });
  ip("link", "del", "nl0");
}

function refusal(words: RegExp) {
  return (error: unknown) =>
    error instanceof IoError && error.code === "IO_NETLINK_FAILED" && words.test(error.message);
}

async function routes(): Promise<void> {
  const link = device("nl1");
  ip("route", "add", "10.20.0.0/16", "via", "10.9.0.2", "mtu", "1234");
  ip("route", "add", "10.21.0.0/16", "dev", "nl1");
  ip("route", "add", "unreachable", "10.22.0.0/16");
  ip("route", "add", "blackhole", "10.23.0.0/16");
  ip("-6", "route", "add", "prohibit", "fd22::/64");
  ip("rule", "add", "fwmark", "7", "lookup", "100");
  ip("route", "add", "unreachable", "10.21.0.0/16", "table", "100");
  await watching(async (watch) => {
    const own = { source: address("10.9.0.1"), link };
    assert.deepEqual(await watch.routeTo(address("10.20.0.9"), 0), { ...own, mtu: 1234 });
    assert.deepEqual(await watch.routeTo(address("10.21.0.9"), 0), own);
    assert.equal(await watch.routeTo(address("10.21.0.9"), 7), undefined);
    assert.equal(await watch.routeTo(address("192.0.2.1"), 0), undefined);
    assert.deepEqual(await watch.routeTo(address("fd09::2"), 0), { source: address("fd09::1"), link });
    const follow = (to: string, from = to.includes(":") ? "fd09::1" : "10.9.0.1") =>
      watch.follow({ source: address(from), destination: address(to) });
    assert.deepEqual(await follow("10.20.0.9"), { kind: "link", link, gateway: address("10.9.0.2") });
    assert.deepEqual(await follow("fd09::2"), { kind: "link", link });
    assert.deepEqual(await follow("10.9.0.1"), { kind: "local" });
    for (const [to, code] of [
      ["10.22.0.1", "EHOSTUNREACH"],
      ["10.23.0.1", "EINVAL"],
      ["fd22::1", "EACCES"],
      ["192.0.2.1", "ENETUNREACH"],
    ] as const)
      assert.deepEqual(await follow(to), { kind: "refused", code });
    const arriving = { source: address("10.9.0.7"), destination: address("10.20.0.9"), arrivesOn: 9999 };
    assert.deepEqual(await watch.follow(arriving), { kind: "refused", code: "ENODEV" });
  });
  ip("rule", "del", "fwmark", "7", "lookup", "100");
  ip("link", "del", "nl1");
}

/** They are more than one datagram of an answer holds, and stay: to delete one takes the kernel a while. */
async function manyLinks(): Promise<void> {
  const names = Array.from({ length: 60 }, (_, i) => `nlmany${i}`);
  batch(names.flatMap((name) => [`tuntap add ${name} mode tun`]));
  await watching(async (watch) => {
    const { links } = await watch.snapshot();
    for (const name of names)
      assert.ok(
        links.some((link) => link.name === name),
        name,
      );
  });
}

const floodRoutes = (verb: string, count: number) =>
  Array.from(
    { length: count },
    (_, i) => `route ${verb} 10.${40 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}/32 dev lo`,
  );

/** Advice about forwarding goes away with its reason only if the switch itself is heard. */
async function switches(): Promise<void> {
  let told = 0;
  const watch = watchNetwork(() => told++);
  try {
    for (const path of ["net/ipv4/conf/lo/forwarding", "net/ipv6/conf/all/forwarding"]) {
      const before = told;
      const now = readFileSync(`/proc/sys/${path}`, "utf8").trim();
      writeFileSync(`/proc/sys/${path}`, now === "1" ? "0" : "1");
      while (told === before) await new Promise((resolve) => setTimeout(resolve, 10));
    }
  } finally {
    watch.close();
  }
}

/** More than the kernel remembers for us while the event loop is busy: the socket has an error waiting. */
async function overrun(): Promise<void> {
  let told = 0;
  const watch = watchNetwork(() => told++);
  try {
    batch(floodRoutes("add", 3_000));
    while (told === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    // What was told is not told again, and what comes is. In many short waits, so that a busy machine leaves it the time.
    const settled = told + 1;
    for (let i = 0; i < 10; i++) await new Promise((resolve) => setTimeout(resolve, 50));
    assert.ok(told <= settled, `${told} changes`);
    const before = told;
    batch(floodRoutes("del", 3_000));
    while (told === before) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.ok((await watch.snapshot()).links.length > 0);
  } finally {
    watch.close();
  }
}

/** Watches that begin and end, and threads that are ended with one open, while everything changes. */
async function comingAndGoing(): Promise<void> {
  const changes = spawn("ip", ["-force", "-batch", "-"], { stdio: ["pipe", "ignore", "inherit"] });
  const exited = once(changes, "exit");
  changes.stdin.end([...floodRoutes("add", 3_000), ...floodRoutes("del", 3_000)].join("\n"));
  for (let i = 0; i < 200; i++) {
    const watch = watchNetwork(() => undefined);
    if (i % 3 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    await watch.snapshot();
    watch.close();
  }
  for (let i = 0; i < 3; i++) {
    const worker = typescriptWorker(WATCHER, undefined);
    await once(worker, "message");
    await worker.terminate();
  }
  await exited;
}

/** An exception of the listener is one of the program's, with its words. */
function throwing(): void {
  const words = [...RUN_TYPESCRIPT, fileURLToPath(WATCHER), "throws"];
  const { status, signal, stderr } = spawnSync(process.execPath, words, {
    encoding: "utf8",
    timeout: 60_000,
  });
  assert.deepEqual({ status, signal }, { status: 1, signal: null });
  assert.match(stderr, /Error: the listener's own/);
}

export const CHECKS: Checks = {
  "links and addresses are told and changed, and what cannot be changed is refused": linksAndAddresses,
  "routes are looked up by mark, with their MTU, and followed to where packets end": routes,
  "all links are told where there are many": manyLinks,
  "a changed switch of forwarding is told": switches,
  "more changes than the kernel remembers are one change": overrun,
  "watches begin and end while everything changes": comingAndGoing,
  "what a listener throws is an uncaught exception and nothing else": throwing,
};
