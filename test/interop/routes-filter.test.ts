/** The inbound filter of scripts/tungate-routes: what arrives in clear from a protected prefix is dropped, and nothing else. */
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { run, until } from "./harness/command.ts";
import { connect, Namespace } from "./harness/namespace.ts";
import { describeWith, ROOT } from "./harness/prerequisites.ts";
import { newFlow, TrafficAgent } from "./harness/traffic.ts";

const SCRIPT = join(ROOT, "scripts/tungate-routes");

describeWith(["tun", "nft"], "tungate-routes: what arrives in clear", () => {
  let gateway: Namespace;
  let outside: Namespace;
  let receiver: TrafficAgent;
  let sender: TrafficAgent;

  beforeEach(async () => {
    gateway = await Namespace.create("gw");
    outside = await Namespace.create("out");
    await connect({ namespace: outside, name: "wan0" }, { namespace: gateway, name: "wan0" });
    await gateway.ip(`
      addr add 192.0.2.1/24 dev wan0
      addr add 2001:db8:ff::1/64 dev wan0 nodad
      route add default via 192.0.2.2
      tuntap add dev tg0 mode tun multi_queue
      link set tg0 up`);
    await outside.ip(`
      addr add 192.0.2.2/24 dev wan0
      addr add 2001:db8:ff::2/64 dev wan0 nodad
      addr add 10.2.0.5/32 dev lo
      addr add 2001:db8:2::5/128 dev lo nodad`);
    receiver = await TrafficAgent.start(gateway);
    sender = await TrafficAgent.start(outside);
    await receiver.udpServe(7000);
    await receiver.udpServe(500);
  });
  afterEach(async () => {
    await receiver.stop();
    await sender.stop();
    await gateway.remove();
    await outside.remove();
  });

  const apply = async (lines: string): Promise<void> => {
    await gateway.run([SCRIPT, "apply"], { input: lines });
  };
  const dropped = async (): Promise<number> => {
    const { stdout } = await gateway.run([SCRIPT, "status"], { input: "" });
    return Number(/# dropped in clear: (\d+) packets/.exec(stdout)?.[1] ?? -1);
  };
  /** How many of five numbered datagrams from this source arrive. */
  const arriving = async (from: string, port = 7000): Promise<number> => {
    const flow = newFlow();
    const numbered = Array.from({ length: 5 }, (_, number) => {
      const datagram = Buffer.alloc(40, (flow * 31 + number * 7) & 0xff);
      datagram.writeUInt32BE(0x74756e67, 0);
      datagram.writeUInt32BE(flow, 4);
      datagram.writeUInt32BE(number, 8);
      datagram.writeUInt32BE(40, 12);
      return datagram.toString("hex");
    });
    const host = from.includes(":") ? "2001:db8:ff::1" : "192.0.2.1";
    const before = await dropped();
    await sender.datagrams({ host, port, payloads: numbered, fromAddress: from, lingerMs: 100 });
    // They arrive or are counted as dropped: on a busy machine not at once.
    const received = async () => (await receiver.udpReceived(flow)).received;
    await until("they came to an end", async () => (await received()) + (await dropped()) - before >= 5);
    return received();
  };
  const PROTECTED = "protect 10.2.0.0/16 dev tg0\nprotect 2001:db8:2::/48 dev tg0";

  test("[SPD-03] a packet in clear from a protected prefix is dropped and counted, others pass", async () => {
    expect(await arriving("10.2.0.5")).toBe(5);

    await apply(PROTECTED);

    expect(await arriving("10.2.0.5")).toBe(0);
    expect(await arriving("2001:db8:2::5")).toBe(0);
    expect(await dropped()).toBe(10);
    expect(await arriving("192.0.2.2")).toBe(5);
    expect(await arriving("2001:db8:ff::2")).toBe(5);
  });

  test("it stays so after clear with on-exit block, and ends with open", async () => {
    await apply(PROTECTED);

    await gateway.run([SCRIPT, "clear"], { input: PROTECTED });
    expect(await arriving("10.2.0.5")).toBe(0);
    await gateway.run([SCRIPT, "clear"], { input: `${PROTECTED}\non-exit open` });
    expect(await arriving("10.2.0.5")).toBe(5);
  });

  test("the longer prefix decides, as in the routes", async () => {
    await apply("protect 10.0.0.0/8 dev tg0\nthrow 10.2.0.0/16\nprotect 10.2.0.0/24 dev tg0");
    await outside.ip("addr add 10.2.7.5/32 dev lo\naddr add 10.9.0.5/32 dev lo");

    expect(await arriving("10.2.7.5")).toBe(5);
    expect(await arriving("10.2.0.5")).toBe(0);
    expect(await arriving("10.9.0.5")).toBe(0);
  });

  test("with a protected default route the peers' IKE and ESP still arrive, and nothing else", async () => {
    await apply("protect 0.0.0.0/0 dev tg0\nthrow 192.0.2.77/32");

    expect(await arriving("192.0.2.2", 500)).toBe(5);
    expect(await arriving("192.0.2.2", 7000)).toBe(0);
  });

  test("a narrowed bypass lets its answers in", async () => {
    await apply("protect 192.0.2.0/24 dev tg0\nbypass to 192.0.2.2/32 proto 17 sport 7000");

    expect(await arriving("192.0.2.2")).toBe(5);
    await apply("protect 192.0.2.0/24 dev tg0");
    expect(await arriving("192.0.2.2")).toBe(0);
  });

  test("the counter outlives a change of the prefixes", async () => {
    await apply(PROTECTED);
    await arriving("10.2.0.5");

    await apply(`${PROTECTED}\nprotect 10.3.0.0/16 dev tg0`);

    expect(await dropped()).toBe(5);
  });

  test("without nft the routes are made, and it says that clear text is not dropped", async () => {
    const outcome = await run(gateway.command([SCRIPT, "apply"]), {
      input: PROTECTED,
      env: { TUNGATE_NFT: "no-such-nft" },
    });

    expect(outcome).toMatchObject({ status: 0, stderr: expect.stringContaining("nftables is missing") });
  });
});
