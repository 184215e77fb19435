/** docs/site-to-site.md and docs/certificates.md: their commands make the keys, their examples the tunnels, on the addresses that they name. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { follow, sectionOf } from "../unit/config/certificate-commands.ts";
import { expectTraffic } from "./harness/checks.ts";
import { run } from "./harness/command.ts";
import { Gateway, UNPRIVILEGED } from "./harness/gateway.ts";
import { describeWith, ROOT } from "./harness/prerequisites.ts";
import { StrongSwan } from "./harness/strongswan.ts";
import { TwoSites } from "./harness/two-sites.ts";

const THERE = "198.51.100.2";
const SITE_TO_SITE = readFileSync(join(ROOT, "docs/site-to-site.md"), "utf8");
const LISTEN = "gateway:\n  listen: [192.0.2.1]\n";

/** What one side writes, as the other side has to. */
function mirrored(text: string): string {
  const pairs = [
    ["192.0.2.1", THERE],
    ["10.1.0.0", "10.2.0.0"],
    ["gw-a", "gw-b"],
  ] as const;
  return pairs.reduce((so, [one, other]) => {
    return so.replaceAll(one, "\0").replaceAll(other, one).replaceAll("\0", other);
  }, text);
}

describeWith(["tun", "build", "strongswan"], "guides", () => {
  let sites: TwoSites;
  let here: Gateway;
  let there: Gateway;
  let swan: StrongSwan | undefined;

  beforeAll(async () => {
    sites = await TwoSites.create();
    await sites.b.gateway.ip(`addr add ${THERE}/32 dev wan0`);
  });
  afterEach(async () => {
    await Promise.all([here.stop(), there.stop(), swan?.stop()]);
    // What keeps clear text in would keep in what is strongSwan's in the same place.
    for (const { gateway } of [sites.a, sites.b])
      await gateway.run([join(ROOT, "scripts/tungate-routes"), "clear"], { input: "on-exit open" });
  });
  afterAll(() => sites.remove());

  const inFolders = (name: string) => {
    here = new Gateway(sites.a.gateway, join(sites.folder, `${name}-a`));
    there = new Gateway(sites.b.gateway, join(sites.folder, `${name}-b`));
    for (const gateway of [here, there]) mkdirSync(join(gateway.folder, "secrets"));
  };
  /** Everything that the commands of the guide leave, for both: each finds its own. */
  const withFilesOf = (name: string, ...sections: readonly string[]) => {
    const folder = mkdtempSync(join(sites.folder, "files-"));
    follow(folder, ...sections);
    inFolders(name);
    for (const file of readdirSync(folder))
      for (const gateway of [here, there]) gateway.writeSecret(file, readFileSync(join(folder, file)));
    return folder;
  };
  const carries = async () => {
    await Promise.all([here.isUp("paris"), there.isUp("paris")]);
    await expectTraffic(sites.a, sites.b, { families: [4], octets: 50_000, datagrams: 10 });
  };

  test("site to site: the key is made as it stands there, and both sides' configuration makes a tunnel", async () => {
    const commands = [...SITE_TO_SITE.split(/^## /m)[1]!.matchAll(/^ {4}(.*)$/gm)].map(([, line]) => line!);
    expect(commands).toHaveLength(3);
    // A host where it is installed, seen by these commands alone.
    const script = `
      passwd=$(cat /etc/passwd) group=$(cat /etc/group)
      mount -t tmpfs tmpfs /etc
      printf '%s\\ntungate:x:${UNPRIVILEGED}:${UNPRIVILEGED}::/:/bin/false\\n' "$passwd" >/etc/passwd
      printf '%s\\ntungate:x:${UNPRIVILEGED}:\\n' "$group" >/etc/group
      mkdir /etc/tungate
      PATH=$1/bin:$PATH
      ${commands.join("\n")}
      stat -c '%a %U %G' /etc/tungate/secrets /etc/tungate/secrets/paris
      cat /etc/tungate/secrets/paris`;
    const { stdout } = await run(["unshare", "--mount", "bash", "-ec", script, "guide", ROOT]);
    const [folder, file, key] = stdout.split("\n");
    expect([folder, file]).toEqual(["700 tungate tungate", "600 tungate tungate"]);

    const example = /^```yaml\n(.*?)^```$/ms.exec(SITE_TO_SITE)![1]!;
    inFolders("site");
    for (const gateway of [here, there]) {
      await run(["chown", `${UNPRIVILEGED}`, join(gateway.folder, "secrets")]);
      gateway.writeSecret("secrets/paris", `${key}\n`);
    }
    await there.start(mirrored(example));
    await here.start(example);
    await carries();
    expect((await here.cli("status")).stdout).toMatch(/^paris +up +198\.51\.100\.2/m);
  });

  const CA = "A small CA";
  test.each([
    ["The configuration", [CA], /^certificate.*ecdsa sha256/],
    ["Raw keys", ["Raw keys"], /^key.*ed25519/],
    ["PKCS#12", [CA, "PKCS#12"], /^certificate.*ecdsa sha256/],
  ] as const)("certificates, %s: a pair as it stands there", async (title, needs, proof) => {
    withFilesOf(title.replace(/\W/g, ""), ...needs);
    const [example] = sectionOf(title).examples;
    await there.start(mirrored(LISTEN + example!));
    await here.start(LISTEN + example!);
    await carries();
    const { localProof, remoteProof } = await here.connection("paris");
    expect(localProof).toMatch(proof);
    expect(remoteProof).toMatch(proof);
  });

  test("certificates, one side with a certificate, the other with a secret", async () => {
    withFilesOf("mixed", CA);
    for (const gateway of [here, there]) {
      await run(["chown", `${UNPRIVILEGED}`, join(gateway.folder, "secrets")]);
      gateway.writeSecret("secrets/paris", "correct horse battery staple\n");
    }
    const [example] = sectionOf("One side with a certificate, the other with a secret").examples;
    const ours = "local: { certificate: gw-a.pem, private_key: gw-a.key }";
    const theirs = "id: gw-b.example.net, psk: { file: secrets/paris } }";
    for (const words of [ours, theirs]) expect(example).toContain(words);
    const other = example!
      .replace(ours, "local: { id: gw-b.example.net, psk: { file: secrets/paris } }")
      .replace(`${THERE}, ${theirs}`, "192.0.2.1, id: gw-a.example.net, ca: ca.pem }");
    await there.start(
      mirrored(LISTEN) +
        other.replace("local: 10.1.0.0/16, remote: 10.2.0.0/16", "local: 10.2.0.0/16, remote: 10.1.0.0/16"),
    );
    await here.start(LISTEN + example!);
    await carries();
  });

  test("certificates, opposite strongSwan: its settings and ours", async () => {
    const folder = withFilesOf("swan", CA);
    const block = sectionOf("Opposite strongSwan").text.match(/(?:^ {4}.*\n)+/m)![0];
    swan = await new StrongSwan(sites.b.gateway, join(sites.folder, "strongswan")).start();
    for (const [place, file] of [
      ["x509", "gw-b.pem"],
      ["private", "gw-b.key"],
      ["x509ca", "ca.pem"],
    ] as const) {
      mkdirSync(join(swan.credentials, place));
      await run(["cp", join(folder, file), join(swan.credentials, place)]);
    }
    await swan.loadText(block);
    const [example] = sectionOf("The configuration").examples;
    await here.start(LISTEN + example!);
    expect(await here.isUp("paris")).toMatchObject({ remoteId: "gw-b.example.net" });
    await expectTraffic(sites.a, sites.b, { families: [4], octets: 50_000, datagrams: 10 });
  });
});
