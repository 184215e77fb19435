/** The gateway on an older kernel, in a virtual machine of its own: what that kernel can do is found out, and is enough. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "./harness/command.ts";
import { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { SECRET, startGateway, strongSwanSettings, tungateSettings } from "./harness/settings.ts";
import { StrongSwan } from "./harness/strongswan.ts";
import { addOuterAddresses, SITE_A, SITE_B, TwoSites } from "./harness/two-sites.ts";
import { GuestGateway } from "./kernel-peer/guest-gateway.ts";
import { KernelPeer } from "./kernel-peer/kernel-peer.ts";

const OCTETS = 3_000_000;
const MEMORY_MB = 768;
const PORT = 5050;
const TIMEOUT_MS = 120_000;

describeWith(["tun", "build", "kernelPeer", "strongswan"], "the gateway on an older kernel", () => {
  let sites: TwoSites;
  let machine: KernelPeer;
  let guest: GuestGateway;

  beforeAll(async () => {
    sites = await TwoSites.create({ withWire: false });
    machine = await KernelPeer.boot(sites.a.gateway, join(sites.folder, "machine"), { memoryMb: MEMORY_MB });
    await addOuterAddresses(sites.a);
    await machine.run(`
      ip addr add ${SITE_B.outer4}/24 dev eth0
      ip addr add ${SITE_B.host4}/32 dev lo
      ip addr add ${SITE_B.host6}/128 dev lo nodad
      ip route add default via ${SITE_A.outer4}`);
    guest = await GuestGateway.start(machine, sites.folder, {
      configuration: tungateSettings({ site: SITE_B, keep: "respond" }),
      secret: SECRET,
    });
    await guest.tcpServe(PORT);
  }, TIMEOUT_MS);

  afterAll(async () => {
    await machine?.stop();
    await sites.remove();
  });

  /** Ping and TCP, both ways and both families; what arrives is what was sent. */
  async function expectWhole(): Promise<void> {
    const host = await sites.a.traffic();
    await host.forget();
    await host.tcpServe(PORT);
    for (const [near, far] of [
      [SITE_A.host4, SITE_B.host4],
      [SITE_A.host6, SITE_B.host6],
    ] as const) {
      await until(`ping ${far}`, () => sites.a.host.ping(far));
      await machine.run(`ping -q -n -c 3 -i 0.2 -W 5 -I ${far} ${near}`);
      const into = await host.tcpSend({ host: far, port: PORT, octets: OCTETS, timeoutMs: TIMEOUT_MS });
      expect(into.received).toEqual({ octets: OCTETS, digest: into.digest });
      const out = await guest.tcpSend({ host: near, port: PORT, octets: OCTETS });
      expect(out.received).toEqual({ octets: OCTETS, digest: out.digest });
    }
  }

  test("it says which offloads that kernel has", async () => {
    const version = (await machine.run("uname -r")).stdout;
    const [major = 0, minor = 0] = version.split(".").map(Number);
    const { offloads } = await guest.status();
    const words = await guest.cli("status");
    console.info(`Linux ${version.trim()}: ${JSON.stringify(offloads)}`);

    expect(offloads).toMatchObject({ tso: "on", coalescing: "on", udp_segment: "on", udp_gro: "on" });
    // UDP superpackets of a TUN device came with Linux 6.2.
    expect(offloads["uso"]).toBe(major > 6 || (major === 6 && minor >= 2) ? "on" : "missing");
    const idle = Object.entries(offloads).filter(([, state]) => state !== "on");
    for (const [name] of idle) expect(words).toContain(name);
    if (idle.length === 0) expect(words).not.toContain("without offloads");
  });

  describe.each(["tungate", "strongSwan"] as const)("opposite %s", (kind) => {
    const folder = () => join(sites.folder, kind);
    let stop: () => Promise<unknown>;

    beforeAll(async () => {
      if (kind === "tungate") {
        const gateway = new Gateway(sites.a.gateway, folder());
        stop = () => gateway.stop();
        // The namespace is strongSwan's afterwards.
        await startGateway(gateway, { site: SITE_A, onExit: "open" });
        await gateway.isUp("peer");
      } else {
        const charon = await new StrongSwan(sites.a.gateway, folder()).start();
        stop = () => charon.stop();
        await charon.load(strongSwanSettings({ site: SITE_A }));
        expect(await charon.initiate()).toBe(true);
      }
    });
    afterAll(() => stop?.());

    test("ping and TCP arrive as they were sent, both ways", { timeout: TIMEOUT_MS }, async () => {
      await expectWhole();

      const { drops, lanes, transfers } = await guest.status();
      expect(lanes).toBeGreaterThan(0);
      expect(drops["notAuthentic"] ?? 0).toBe(0);
      expect(drops["malformedInner"] ?? 0).toBe(0);
      expect(transfers["superpacketsRead"]).toBeGreaterThan(0);
    });
  });
});
