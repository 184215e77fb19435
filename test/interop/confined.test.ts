/** A gateway without any capability: somebody passes it a TUN device that is open, and its ports are above 1023. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "./harness/command.ts";
import { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { SECRET, tungateSettings } from "./harness/settings.ts";
import { SITE_A, SITE_B, TwoSites } from "./harness/two-sites.ts";

const NONE = "-all";
const IKE_PORT = 1500;
const PORTS = `gateway:\n  ports: { ike: ${IKE_PORT}, nat: 4500 }`;

describeWith(["tun", "build"], "without any capability", () => {
  let sites: TwoSites;
  let a: Gateway;
  let b: Gateway;

  beforeAll(async () => {
    sites = await TwoSites.create();
    a = new Gateway(sites.a.gateway, join(sites.folder, "a"));
    b = new Gateway(sites.b.gateway, join(sites.folder, "b"));
    a.writeSecret("secret", `${SECRET}\n`);
    b.writeSecret("secret", `${SECRET}\n`);
    const toA = tungateSettings({ site: SITE_B, keep: "respond" }).replace(
      `address: "${SITE_A.outer4}"`,
      `address: "${SITE_A.outer4}", port: ${IKE_PORT}`,
    );
    await b.start(toA);
  }, 60_000);

  afterAll(async () => {
    await a.kill();
    await b.stop();
    await sites.remove();
  });

  const settings = () => tungateSettings({ site: SITE_A }).replace("gateway:", PORTS);
  const prepared = async () => {
    await sites.a.gateway.ip(`link set tungate0 up mtu 1400\nroute add ${SITE_B.lan4} dev tungate0`);
    await sites.a.gateway.ip(`route add ${SITE_B.lan6} dev tungate0`);
  };
  const reaches = () => sites.a.host.ping(SITE_B.host4);

  test("the control: nothing passed, and the device cannot be opened, which is said in words", async () => {
    a.launch(settings(), { capabilities: NONE });
    expect(await a.process.ended(30_000)).toBe(1);
    expect(a.log()).toMatch(/run with CAP_NET_ADMIN, or let root make the device/);
  });

  test("a queue that frames packets otherwise is refused in words", async () => {
    a.launch(settings(), { capabilities: NONE, passes: "tungate0 plain" });
    expect(await a.process.ended(30_000)).toBe(1);
    expect(a.log()).toMatch(/queue of tungate0 .* has to be opened with IFF_TUN, IFF_NO_PI and IFF_VNET_HDR/);
  });

  test("a port below 1024 is an error that says what it needs", async () => {
    a.launch(tungateSettings({ site: SITE_A }), { capabilities: NONE, passes: "tungate0" });
    expect(await a.process.ended(30_000)).toBe(1);
    expect(a.log()).toMatch(/UDP port 500.*ports below 1024 need CAP_NET_BIND_SERVICE/);
  });

  test("it carries traffic both ways, and says what is left to others and what is not there", async () => {
    await a.start(settings(), { capabilities: NONE, passes: "tungate0", isSupervised: true });
    const { advice } = await a.status();
    await prepared();
    await a.isUp("peer");

    expect(advice.join("\n")).toMatch(/ip link set tungate0 up mtu \d+/);
    expect(advice.join("\n")).toMatch(/routes, marks and forwarding are left alone/);
    expect(advice.join("\n")).toMatch(/ESP goes in UDP only/);
    await until("host A reaches host B", reaches);
    expect(await sites.b.host.ping(SITE_A.host4)).toBe(true);
    expect(await sites.b.host.ping(SITE_A.host6)).toBe(true);
    // Of the host nothing has been changed.
    const { stdout } = await sites.a.gateway.run(["ip", "rule", "list"]);
    expect(stdout).not.toMatch(/220/);
  });

  test("a restart goes on with the same device and SAs, also after SIGKILL", async () => {
    const before = (await a.connection("peer")).initiatorSpi;
    await a.restart("clean");
    expect(await reaches()).toBe(true);
    expect((await a.connection("peer")).initiatorSpi).toBe(before);
    await a.restart("kill");
    expect(await reaches()).toBe(true);
    await a.isUp("peer");
  });
});
