/** The host's links, addresses and routes as the kernel tells them; nothing is changed here. */
import { execFileSync } from "node:child_process";
import { afterEach, expect, test } from "vitest";
import { formatIpAddress, IpAddress, parseIpAddress } from "../../../src/base/ip-address.ts";
import { type NetworkWatch, watchNetwork } from "../../../src/io/netlink.ts";
import { RUN_TYPESCRIPT } from "../run-typescript.ts";
import { describeNative } from "./native-addon.ts";

let watch: NetworkWatch | undefined;
afterEach(() => {
  watch?.close();
});

const loopback = IpAddress(parseIpAddress("127.0.0.1")!);

describeNative("the kernel's network state", () => {
  test("the loopback device is there, with its address and its MTU", async () => {
    watch = watchNetwork(() => undefined);
    const { links, addresses } = await watch.snapshot();
    const lo = links.find(({ name }) => name === "lo");
    expect(lo?.mtu).toBeGreaterThan(1500);
    const own = addresses
      .filter(({ link }) => link === lo?.index)
      .map(({ address }) => formatIpAddress(address));
    if (lo?.isUp === true) expect(own).toContain("127.0.0.1");
  });

  test("the way to ourselves leads over the loopback device, whatever the mark", async () => {
    watch = watchNetwork(() => undefined);
    const { links } = await watch.snapshot();
    const lo = links.find(({ name }) => name === "lo");
    if (lo?.isUp !== true) return;
    for (const mark of [0, 0x54470000]) {
      const route = await watch.routeTo(loopback, mark);
      expect(route && formatIpAddress(route.source)).toBe("127.0.0.1");
      expect(route?.link).toBe(lo.index);
    }
  });

  test("many questions at once are answered one by one, each with its own answer", async () => {
    watch = watchNetwork(() => undefined);
    const open = watch;
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => (i % 2 ? open.snapshot() : open.routeTo(loopback, 0))),
    );
    for (const [i, answer] of answers.entries()) {
      if (i % 2) expect(answer).toHaveProperty("links");
      else if (answer !== undefined) expect(answer).toHaveProperty("source");
    }
  });

  test("what cannot be watched for want of descriptors keeps none of them", { timeout: 30_000 }, () => {
    const file = new URL("./netlink-descriptors.ts", import.meta.url).pathname;
    const command = `ulimit -n 128; exec "$@"`;
    const words = ["-c", command, "sh", process.execPath, ...RUN_TYPESCRIPT, file];
    const told = JSON.parse(execFileSync("sh", words, { encoding: "utf8" })) as string[];
    expect(told).toEqual([
      "IO_SYSTEM_CALL_FAILED, 0 left of 0",
      "IO_NETLINK_FAILED, 1 left of 1",
      "IO_SYSTEM_CALL_FAILED, 2 left of 2",
      "watches, 3 left of 3",
    ]);
  });
});
