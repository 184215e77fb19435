/** Datagrams of strangers on both ports, while a tunnel carries traffic: all end as counted drops. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Capture, type Frame } from "./harness/capture.ts";
import { expectTraffic } from "./harness/checks.ts";
import { until } from "./harness/command.ts";
import { Gateway } from "./harness/gateway.ts";
import { connect, Namespace } from "./harness/namespace.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { startGateway } from "./harness/settings.ts";
import { TrafficAgent } from "./harness/traffic.ts";
import { SITE_A, SITE_B, TwoSites } from "./harness/two-sites.ts";

const ATTACKER = "198.51.100.66";
/** Memory that a flood may leave behind. */
const GROWTH_KB_MAX = 60_000;

/** Octets that look random and are the same in every run. */
function octets(seed: string, length: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, n) =>
    createHash("sha256").update(`${seed} ${n}`).digest(),
  );
  return Buffer.concat(blocks).subarray(0, length);
}

/** An IKE header with these fields and `body` after it; the length field tells the truth unless told otherwise. */
function ike(
  fields: {
    initiator?: Buffer;
    responder?: Buffer;
    next?: number;
    version?: number;
    exchange?: number;
    flags?: number;
    id?: number;
    length?: number;
  },
  body: Buffer = Buffer.alloc(0),
): Buffer {
  const header = Buffer.alloc(28);
  (fields.initiator ?? octets("initiator", 8)).copy(header, 0);
  (fields.responder ?? Buffer.alloc(8)).copy(header, 8);
  header[16] = fields.next ?? 33;
  header[17] = fields.version ?? 0x20;
  header[18] = fields.exchange ?? 34;
  header[19] = fields.flags ?? 0x08;
  header.writeUInt32BE(fields.id ?? 0, 20);
  header.writeUInt32BE(fields.length ?? 28 + body.length, 24);
  return Buffer.concat([header, body]);
}

const marked = (message: Buffer) => Buffer.concat([Buffer.alloc(4), message]);
const hex = (list: readonly Buffer[]) => list.map((one) => one.toString("hex"));

describeWith(["tun", "build", "tcpdump", "nft"], "hostile datagrams", () => {
  let sites: TwoSites;
  let a: Gateway;
  let b: Gateway;
  let attacker: Namespace;
  let agent: TrafficAgent;
  /** A capture of honest traffic: what there is to replay. */
  let honest: Frame[];

  beforeAll(async () => {
    sites = await TwoSites.create();
    attacker = await Namespace.create("x");
    await connect({ namespace: attacker, name: "wan0" }, { namespace: sites.a.gateway, name: "wan1" });
    await sites.a.gateway.ip("addr add 198.51.100.1/24 dev wan1");
    await attacker.ip(`addr add ${ATTACKER}/24 dev wan0\nroute add default via 198.51.100.1`);
    agent = await TrafficAgent.start(attacker);
    a = new Gateway(sites.a.gateway, join(sites.folder, "a"));
    b = new Gateway(sites.b.gateway, join(sites.folder, "b"));
    const capture = await Capture.start(sites.a.gateway, "wan0", join(sites.folder, "honest.pcap"));
    await startGateway(b, { site: SITE_B, keep: "respond" });
    await startGateway(a, { site: SITE_A });
    await a.isUp("peer");
    await expectTraffic(sites.b, sites.a, { families: [4], octets: 20_000, datagrams: 30 });
    honest = await capture.stop();
  });
  afterAll(async () => {
    await agent.stop();
    await a.stop();
    await b.stop();
    await attacker.remove();
    await sites.remove();
  });

  const send = (port: number, payloads: readonly Buffer[], fromPort?: number) =>
    agent.datagrams({
      host: SITE_A.outer4,
      port,
      payloads: hex(payloads),
      ...(fromPort === undefined ? {} : { fromPort }),
    });
  const drops = async () => (await a.status()).drops;
  const residentKb = () =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${a.process.pid}/status`, "utf8"))![1]);

  /** The daemon is the same process, the tunnel the same, and carries traffic. */
  async function expectUnharmed(): Promise<void> {
    expect(a.process.exitStatus).toBeUndefined();
    expect((await a.connection("peer")).state).toBe("up");
    await expectTraffic(sites.a, sites.b, { families: [4], octets: 20_000, datagrams: 20 });
    expect(a.log()).not.toMatch(/\n\s+at |TypeError|RangeError|INVARIANT/);
  }

  /** Waits until the sum of these counters has grown by at least `least`; they are published now and then. */
  async function expectCounted(
    before: Record<string, number>,
    reasons: RegExp,
    least: number,
  ): Promise<void> {
    const sum = (counters: Record<string, number>) =>
      Object.entries(counters)
        .filter(([reason]) => reasons.test(reason))
        .reduce((total, [, count]) => total + count, 0);
    let last = before;
    await until(
      `${least} more drops ${reasons}`,
      async () => {
        last = await drops();
        return sum(last) - sum(before) >= least;
      },
      40_000,
      () => `before ${JSON.stringify(before)}, last ${JSON.stringify(last)}`,
    );
  }

  test.each([500, 4500])("truncated and malformed messages on port %i", async (port) => {
    const before = await drops();
    const wrap = port === 4500 ? marked : (message: Buffer) => message;
    const whole = ike({}, octets("body", 300));
    const truncated = [1, 2, 3, 4, 5, 8, 16, 27, 28, 29, 100].map((length) =>
      wrap(whole).subarray(0, length),
    );
    const lengths = [0, 27, 29, 0xffffffff].map((length) => wrap(ike({ length }, octets("b", 60))));
    const chains = [
      ike({}, Buffer.from("00000000", "hex")),
      ike({}, Buffer.from("2100ffff", "hex")),
      ike({ next: 1 }, Buffer.concat(Array.from({ length: 400 }, () => Buffer.from("01000004", "hex")))),
      ike({ next: 46, exchange: 35, responder: octets("r", 8) }, octets("sk", 200)),
      ike({ initiator: Buffer.alloc(8) }, octets("zero", 64)),
      ike({ exchange: 99 }, octets("exchange", 64)),
    ].map(wrap);

    await send(port, [...truncated, ...lengths, ...chains, Buffer.alloc(0)]);

    // Truncated below the header, impossible lengths, impossible chains: each is counted where it was found.
    await expectCounted(before, /ike:|shortDatagram|Spi/, 20);
    await expectUnharmed();
  });

  test("[HDR-04] a request of another major version is answered with INVALID_MAJOR_VERSION or dropped; IKEv1 makes no state", async () => {
    const answers = await send(500, [
      ike({ version: 0x30 }, octets("v3", 40)),
      ike({ version: 0x10, exchange: 2, flags: 0 }, octets("v1", 80)),
    ]);

    for (const answer of answers) {
      const message = Buffer.from(answer, "hex");
      expect(message[17]).toBe(0x20);
      expect(message[16]).toBe(41);
      expect(message.readUInt16BE(28 + 6)).toBe(5);
    }
    await expectUnharmed();
  });

  test("messages for unknown SPIs get no answer and leave no state", async () => {
    const unknown = Array.from({ length: 200 }, (_, n) =>
      ike(
        { initiator: octets(`i${n}`, 8), responder: octets(`r${n}`, 8), exchange: 36 + (n % 2), next: 46 },
        octets(`b${n}`, 80),
      ),
    );

    const answers = await send(500, unknown);

    expect(answers.length).toBeLessThanOrEqual(20);
    await expectUnharmed();
  });

  test("oversized datagrams are dropped", async () => {
    const before = await drops();

    await send(500, [ike({}, octets("big", 60_000)), ike({ length: 100 }, octets("big", 60_000))]);
    await send(4500, [marked(ike({}, octets("big", 60_000))), octets("esp", 60_000)]);

    await expectCounted(before, /^oversized$|^badDatagrams$|ike:malformed|unknownSpi/, 4);
    await expectUnharmed();
  });

  test("ESP for nobody is counted", async () => {
    const before = await drops();
    const stranger = Array.from({ length: 100 }, (_, n) => {
      const packet = octets(`esp ${n}`, 200);
      packet.writeUInt32BE(0xc0000000 + n, 0);
      return packet;
    });
    const reserved = [1, 255].map((spi) => {
      const packet = octets(`reserved ${spi}`, 100);
      packet.writeUInt32BE(spi, 0);
      return packet;
    });

    await send(4500, [...stranger, ...reserved, Buffer.from([0xff]), Buffer.from([0xfe]), Buffer.alloc(3)]);

    await expectCounted(before, /unknownSpi/, 100);
    await expectCounted(before, /reservedSpi/, 2);
    await expectCounted(before, /keepalive/, 1);
    await expectCounted(before, /shortDatagram/, 1);
    await expectUnharmed();
  });

  test("replayed ESP packets are counted and deliver nothing", async () => {
    const before = await drops();
    const packets = honest
      .filter((frame) => frame.kind === "esp" && frame.source === SITE_B.outer4)
      .map((frame) => frame.payload);
    expect(packets.length).toBeGreaterThan(40);

    await send(4500, packets, 4500);

    await expectCounted(before, /replayed|leftOfWindow/, packets.length);
    await expectUnharmed();
  });

  test("[ESP-05] [ESP-12] forged packets of a real SA fail the integrity check and do not move its window", async () => {
    const before = await drops();
    const real = honest
      .filter((frame) => frame.kind === "esp" && frame.source === SITE_B.outer4)
      .at(-1)!.payload;
    const forged = Array.from({ length: 50 }, (_, n) => {
      const packet = Buffer.from(real);
      packet.writeUInt32BE(0x00f00000 + n * 4096, 4);
      return packet;
    });
    const flipped = Array.from({ length: 20 }, (_, n) => {
      const packet = Buffer.from(real);
      packet.writeUInt32BE(packet.readUInt32BE(4) + 2000 + n, 4);
      packet[packet.length - 1 - n]! ^= 1;
      return packet;
    });

    await send(4500, [...forged, ...flipped], 4500);

    await expectCounted(before, /notAuthentic/, 70);
    const spi = real.readUInt32BE(0).toString(16).padStart(8, "0");
    await a.logSays(
      new RegExp(
        `ESP packet from ${ATTACKER}:4500 to 192.0.2.1:4500 refused: not authentic \\(SPI ${spi}, sequence number \\d+`,
      ),
    );
    // Had one of the numbers counted, everything honest would now be left of the window.
    await expectUnharmed();
  });

  test("the peer's own messages, replayed from its address, change nothing", async () => {
    await attacker.run(["nft", "-f", "-"], {
      input: `table ip spoof {
        chain out {
          type filter hook output priority 0
          udp dport { 500, 4500 } ip saddr set ${SITE_B.outer4}
        }
      }`,
    });
    const ikeFrames = honest.filter((frame) => frame.kind === "ike" && frame.source === SITE_B.outer4);
    const spi = (await a.connection("peer")).initiatorSpi;

    for (const frame of ikeFrames) {
      const onNatPort = frame.payload.readUInt32BE(0) === 0;
      await send(
        onNatPort ? 4500 : 500,
        [frame.payload, frame.payload, frame.payload],
        onNatPort ? 4500 : 500,
      );
    }
    // Deletes, errors and requests that nobody has sealed, with the SPIs that the wire shows.
    const sealed = ikeFrames.find((frame) => frame.payload.readUInt32BE(0) === 0)!.payload.subarray(4);
    const pair = {
      initiator: Buffer.from(sealed.subarray(0, 8)),
      responder: Buffer.from(sealed.subarray(8, 16)),
    };
    const forged = [
      ike({ ...pair, next: 42, exchange: 37, flags: 0, id: 0 }, Buffer.from("0000000801000000", "hex")),
      ike({ ...pair, next: 41, exchange: 37, flags: 0x20, id: 2 }, Buffer.from("0000000800000018", "hex")),
      ike({ ...pair, next: 46, exchange: 37, flags: 0, id: 0 }, octets("sealed", 120)),
      ike({ ...pair, next: 46, exchange: 36, flags: 0, id: 0x7fffffff }, octets("sealed", 120)),
    ].map(marked);
    await send(4500, forged, 4500);
    await attacker.run(["nft", "delete", "table", "ip", "spoof"]);

    await expectUnharmed();
    expect((await a.connection("peer")).initiatorSpi).toBe(spi);
  });

  test("a flood of IKE_SA_INIT is answered sparingly, ends, and leaves little behind", async () => {
    const before = residentKb();
    const flood = Array.from({ length: 5000 }, (_, n) =>
      ike({ initiator: octets(`flood ${n}`, 8) }, octets(`flood body ${n}`, 200)),
    );

    const started = performance.now();
    const answers = await send(500, flood);

    expect(answers.length).toBeLessThan(flood.length / 10);
    await expectUnharmed();
    expect(performance.now() - started).toBeLessThan(60_000);
    expect(residentKb() - before).toBeLessThan(GROWTH_KB_MAX);
  });
});
