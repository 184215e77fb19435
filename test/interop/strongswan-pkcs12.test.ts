/** Key and chain from PKCS#12 files on both sides, as OpenSSL makes them today and made them before, and a file that is renewed. */
import { cpSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { ca, makeKey } from "../unit/pki/certificate-maker.ts";
import {
  addPeerAddresses,
  type CertifiedConnection,
  certificatePem,
  closeAll,
  keyPem,
  ourConnections,
  theirConnections,
} from "./harness/certified.ts";
import { issue, oppositeCertified, root, validity } from "./harness/certified-world.ts";
import { run } from "./harness/command.ts";
import type { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import type { StrongSwan } from "./harness/strongswan.ts";

const PASSWORD = "a pass word";
/** Each side gets to know the other's from the other alone. */
const middle = {
  a: ca("O=Tungate test, CN=Middle A", { ...validity, issuer: root }),
  b: ca("O=Tungate test, CN=Middle B", { ...validity, issuer: root }),
};

/** Words for `openssl pkcs12 -export`. */
const KINDS = { modern: [], legacy: ["-legacy"] } as const;
type Kind = keyof typeof KINDS;
const NAMES = Object.keys(KINDS) as Kind[];

const CONNECTIONS = NAMES.map(
  (name): CertifiedConnection => ({
    name,
    local: `pkcs12: { file: ${name}-a.p12, password: { file: password } }`,
    remote: "ca: root.pem, revocation: off",
    theirLocal: "auth = pubkey",
  }),
);
const SECRETS = `secrets {
${NAMES.map(
  (name) => `    pkcs12-${name} {
        file = ${name}-b.p12
        secret = "${PASSWORD}"
    }`,
).join("\n")}
}
`;

describeWith(["tun", "build", "strongswan"], "strongSwan: PKCS#12 on both sides", () => {
  let peer: StrongSwan;
  let ours: Gateway;
  let folder: string;

  /** @returns the path of a file with key, certificate, intermediate and root */
  async function makeFile(kind: Kind, side: "a" | "b", subject = `CN=${kind}-${side}`): Promise<string> {
    const own = issue(`${kind}-${side}`, { subject, key: makeKey("rsa"), issuer: middle[side] });
    const path = (ending: string) => join(folder, `${kind}-${side}.${ending}`);
    writeFileSync(path("key"), keyPem(own));
    writeFileSync(path("pem"), certificatePem(own));
    writeFileSync(path("ca"), certificatePem(middle[side], root));
    writeFileSync(path("password"), PASSWORD);
    await run([
      ...["openssl", "pkcs12", "-export", ...KINDS[kind], "-inkey", path("key"), "-in", path("pem")],
      ...["-certfile", path("ca"), "-passout", `file:${path("password")}`, "-out", path("p12")],
    ]);
    return path("p12");
  }

  oppositeCertified(
    (world) => {
      ({ peer, ours } = world);
    },
    async ({ sites }) => {
      folder = join(sites.folder, "keys");
      mkdirSync(folder);
      ours.writeSecret("password", `${PASSWORD}\n`);
      mkdirSync(join(peer.credentials, "pkcs12"));
      for (const kind of NAMES) {
        ours.writeSecret(`${kind}-a.p12`, readFileSync(await makeFile(kind, "a")));
        cpSync(await makeFile(kind, "b"), join(peer.credentials, `pkcs12/${kind}-b.p12`));
      }
      await addPeerAddresses(sites, CONNECTIONS.length);
      await peer.loadText(theirConnections(CONNECTIONS, SECRETS));
      await ours.start(ourConnections(CONNECTIONS));
    },
  );
  afterEach(() => closeAll(ours, peer, NAMES));

  async function expectProofs(name: string): Promise<void> {
    const { localProof, remoteProof } = await ours.isUp(name);
    expect(localProof).toBe(`certificate "CN=${name}-a", rsa-pss sha256`);
    expect(remoteProof).toMatch(`certificate "CN=${name}-b", rsa-pkcs1 sha`);
  }

  test.each(NAMES)("%s: we call", async (name) => {
    await ours.command("up", name);
    await expectProofs(name);
  });

  test.each(NAMES)("%s: strongSwan calls", async (name) => {
    expect(await peer.initiate(10, name)).toBe(true);
    await expectProofs(name);
  });

  test("a renewed file is in use from the next authentication on, and neither log nor status has the password", async () => {
    ours.writeSecret("new.p12", readFileSync(await makeFile("modern", "a", "CN=renewed")));
    renameSync(join(ours.folder, "new.p12"), join(ours.folder, "modern-a.p12"));
    await ours.logSays(/certificates and keys were renewed/);
    await ours.command("up", "modern");
    expect((await ours.isUp("modern")).localProof).toContain("CN=renewed");
    expect(ours.log()).not.toContain(PASSWORD);
    expect(JSON.stringify(await ours.status())).not.toContain(PASSWORD);
  });

  test("a file with another password is said, and the one before stays in use", async () => {
    const bytes = readFileSync(join(ours.folder, "modern-a.p12"));
    bytes[bytes.length - 30]! ^= 1;
    ours.writeSecret("new.p12", bytes);
    renameSync(join(ours.folder, "new.p12"), join(ours.folder, "modern-a.p12"));
    await ours.logSays(
      /cannot be used; those from before stay in use[\s\S]*modern-a\.p12: the password does not/,
    );
    await ours.command("up", "modern");
    await ours.isUp("modern");
  });
});
