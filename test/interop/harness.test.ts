/** The test bed itself: peers against each other, before anything of ours is judged by them. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Capture, clearFrames, countOf } from "./harness/capture.ts";
import { Namespace } from "./harness/namespace.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { type PeerConnection, StrongSwan } from "./harness/strongswan.ts";
import { newFlow } from "./harness/traffic.ts";
import { SITE_A, SITE_B, TwoSites } from "./harness/two-sites.ts";
import { startCharonInside } from "./kernel-peer/charon.ts";
import { KernelPeer } from "./kernel-peer/kernel-peer.ts";

const connectionOfA: PeerConnection = {
  local: SITE_A.outer4,
  remote: SITE_B.outer4,
  localId: "a.test",
  remoteId: "b.test",
  secret: "a secret for the test bed",
  ike: "aes256gcm16-prfsha384-x25519",
  esp: "aes256gcm16",
  localTs: [SITE_A.lan4, SITE_A.lan6],
  remoteTs: [SITE_B.lan4, SITE_B.lan6],
};
const connectionOfB: PeerConnection = {
  ...connectionOfA,
  local: SITE_B.outer4,
  remote: SITE_A.outer4,
  localId: "b.test",
  remoteId: "a.test",
  localTs: connectionOfA.remoteTs,
  remoteTs: connectionOfA.localTs,
};

describeWith(["tun", "tcpdump", "strongswan"], "test bed: two sites", () => {
  let sites: TwoSites;
  beforeAll(async () => {
    sites = await TwoSites.create();
  });
  afterAll(() => sites.remove());

  test("without a gateway everything arrives, in clear, and the capture says so", async () => {
    const capture = await Capture.start(sites.a.gateway, "wan0", join(sites.folder, "clear.pcap"));
    expect(await sites.a.host.ping(SITE_B.host4)).toBe(true);
    expect(await sites.a.host.ping(SITE_B.host6)).toBe(true);

    const frames = await capture.stop();

    expect(clearFrames(frames)).toHaveLength(12);
    expect(frames.find((frame) => frame.kind === "clear" && frame.family === 6)).toMatchObject({
      source: SITE_A.host6,
    });
    expect(countOf(frames, "esp")).toBe(0);
  });

  describe("with strongSwan on both sides, ESP in userspace", () => {
    let a: StrongSwan;
    let b: StrongSwan;
    beforeAll(async () => {
      a = await new StrongSwan(sites.a.gateway, join(sites.folder, "a")).start();
      b = await new StrongSwan(sites.b.gateway, join(sites.folder, "b")).start();
      await a.load(connectionOfA);
      await b.load(connectionOfB);
    });
    afterAll(async () => {
      await a.stop();
      await b.stop();
    });

    test("TCP and UDP pass with their digests, the wire shows IKE and ESP alone", async () => {
      const capture = await Capture.start(sites.a.gateway, "wan0", join(sites.folder, "esp.pcap"));
      expect(await a.initiate()).toBe(true);
      const [left, right] = [await sites.a.traffic(), await sites.b.traffic()];
      await right.tcpServe(5001);
      await right.udpServe(5002, true);
      const flow = newFlow();

      const transfer = await left.tcpSend({ host: SITE_B.host4, port: 5001, octets: 1_000_000 });
      const sent = await left.udpSend({ host: SITE_B.host6, port: 5002, flow, count: 200, everyMs: 1 });
      const frames = await capture.stop();

      expect(transfer.received).toEqual({ octets: 1_000_000, digest: transfer.digest });
      expect(sent).toEqual({ sent: 200, refused: 0, echoed: 200 });
      expect(await right.udpReceived(flow)).toEqual({
        received: 200,
        overtaken: 0,
        duplicates: 0,
        corrupt: 0,
        last: 199,
      });
      expect(clearFrames(frames)).toEqual([]);
      expect(countOf(frames, "ike")).toBeGreaterThanOrEqual(4);
      expect(countOf(frames, "esp")).toBeGreaterThanOrEqual(1_000_000 / 1500 + 400);
    });
  });
});

describeWith(["tun", "tcpdump", "strongswan", "kernelPeer"], "test bed: the kernel peer", () => {
  let sites: TwoSites;
  let peer: KernelPeer;
  beforeAll(async () => {
    sites = await TwoSites.create({ withWire: false });
    peer = await KernelPeer.boot(sites.a.gateway, join(sites.folder, "peer"));
    await sites.a.gateway.ip(`addr add ${SITE_A.outer4}/24 dev wan0`);
    await peer.run(`ip addr add ${SITE_B.outer4}/24 dev eth0; ip addr add ${SITE_B.gateway4}/16 dev lo`);
  });
  afterAll(async () => {
    await peer.stop();
    await sites.remove();
  });

  test("commands give their output and status", async () => {
    const outcome = await peer.run("echo out; echo err >&2; exit 7", { mayFail: true });

    expect(outcome).toEqual({ status: 7, stdout: "out\n", stderr: "err\n" });
    await expect(peer.run("false")).rejects.toThrow("status 1");
  });

  test("the machine's files cannot be written from inside", async () => {
    const outcome = await peer.run(`touch /etc/written || touch ${sites.folder}/written`, { mayFail: true });

    expect(outcome.status).not.toBe(0);
  });

  test("its kernel has ESP", async () => {
    await peer.run(`
      ip xfrm state add src 192.0.2.2 dst 192.0.2.1 proto esp spi 0x1001 reqid 1 mode tunnel \
        aead 'rfc4106(gcm(aes))' 0x${"00".repeat(36)} 128 replay-window 64 flag esn
      ip xfrm state flush`);
  });

  test("strongSwan in userspace and strongSwan with the kernel's ESP agree", async () => {
    const user = await new StrongSwan(sites.a.gateway, join(sites.folder, "a")).start();
    await user.load({ ...connectionOfA, localTs: [SITE_A.lan4], remoteTs: [SITE_B.lan4] });
    await startCharonInside(peer, { ...connectionOfB, localTs: [SITE_B.lan4], remoteTs: [SITE_A.lan4] });

    expect(await user.initiate()).toBe(true);
    expect(await sites.a.host.ping(SITE_B.gateway4)).toBe(true);
    const state = await peer.run("ip -s xfrm state");
    expect(state.stdout.match(/proto esp spi/g)).toHaveLength(2);
    expect(state.stdout).not.toMatch(/\b0\(packets\)|\(bytes\), 0\(packets\)/);
    await user.stop();
  });
});

describeWith([], "test bed: namespaces", () => {
  test("a namespace goes with what runs in it", async () => {
    const namespace = await Namespace.create("x");
    const started = namespace.run(["sleep", "600"], { mayFail: true, timeoutMs: 60_000 });

    await namespace.remove();

    expect((await started).status).not.toBe(0);
  });
});
