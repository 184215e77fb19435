/** The two configurations that the README shows, as they stand there, on the addresses that it names. */
import { chownSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { expectTraffic } from "./harness/checks.ts";
import { Gateway, UNPRIVILEGED } from "./harness/gateway.ts";
import { describeWith, ROOT } from "./harness/prerequisites.ts";
import { StrongSwan } from "./harness/strongswan.ts";
import { TwoSites } from "./harness/two-sites.ts";

const README = readFileSync(join(ROOT, "README.md"), "utf8");

/** The first fenced block behind a text. */
function blockAfter(text: string): string {
  const block = /```[a-z]*\n([\s\S]*?)```/.exec(README.slice(README.indexOf(text)))?.[1];
  if (block === undefined || !README.includes(text))
    throw new Error(`README.md shows nothing after "${text}"`);
  return block;
}

describeWith(["tun", "build", "strongswan"], "README", () => {
  let sites: TwoSites;
  let peer: StrongSwan;
  let ours: Gateway;

  beforeAll(async () => {
    sites = await TwoSites.create();
    peer = await new StrongSwan(sites.b.gateway, join(sites.folder, "strongswan")).start();
    ours = new Gateway(sites.a.gateway, join(sites.folder, "tungate"));
    mkdirSync(join(ours.folder, "secrets"));
    chownSync(join(ours.folder, "secrets"), UNPRIVILEGED, UNPRIVILEGED);
  });
  afterAll(async () => {
    await ours.stop();
    await peer.stop();
    await sites.remove();
  });

  test("its tungate.yaml and its swanctl.conf make a tunnel", async () => {
    const swanctl = blockAfter("/etc/swanctl/swanctl.conf");
    const secret = /secret = "([^"]+)"/.exec(swanctl)?.[1];
    await peer.loadText(swanctl);
    ours.writeSecret("secrets/office", `${secret}\n`);

    await ours.start(blockAfter("/etc/tungate/tungate.yaml"));
    const status = await ours.isUp("office");
    await expectTraffic(sites.a, sites.b, { families: [4] });

    expect(status.children[0]).toMatchObject({ local: ["10.1.0.0/16"], remote: ["10.2.0.0/16"] });
  });
});
