/** strongSwan that does not know RFC 7427 (`signature_authentication = no`): AUTH methods 1, 9, 10 and 11, in both roles. */
import { afterEach, expect, test } from "vitest";
import { type KeyKind, makeKey } from "../unit/pki/certificate-maker.ts";
import {
  addPeerAddresses,
  type CertifiedConnection,
  closeAll,
  ourConnections,
  theirConnections,
  writeOurs,
  writeTheirs,
} from "./harness/certified.ts";
import { issue, oppositeCertified } from "./harness/certified-world.ts";
import { until } from "./harness/command.ts";
import type { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import type { StrongSwan } from "./harness/strongswan.ts";

const SHA1 = "ike: { sha1_signatures: true }";
/** `refused`: SHA-256 in method 1, which strongSwan does not take, and SHA-1, which we don't. */
const CASES: readonly { name: string; kind: KeyKind; scheme: string; more?: string; isRefused?: true }[] = [
  { name: "rsa", kind: "rsa", scheme: "rsa-pkcs1 sha1", more: SHA1 },
  { name: "refused", kind: "rsa", scheme: "", isRefused: true },
  { name: "p256", kind: "p256", scheme: "ecdsa sha256" },
  { name: "p384", kind: "p384", scheme: "ecdsa sha384" },
  { name: "p521", kind: "p521", scheme: "ecdsa sha512" },
];
const CONNECTIONS = CASES.map(
  ({ name, more }): CertifiedConnection => ({
    name,
    local: `certificate: ${name}-a.pem, private_key: ${name}-a.key`,
    remote: "ca: root.pem, revocation: off",
    theirLocal: `auth = pubkey\n            certs = ${name}-b.pem`,
    ...(more === undefined ? {} : { more }),
  }),
);

describeWith(["tun", "build", "strongswan"], "strongSwan without RFC 7427", () => {
  let peer: StrongSwan;
  let ours: Gateway;

  oppositeCertified(
    (world) => {
      ({ peer, ours } = world);
    },
    async ({ sites }) => {
      for (const { name, kind } of CASES) {
        writeOurs(ours, `${name}-a`, [issue(`${name}-a`, { key: makeKey(kind) })]);
        writeTheirs(peer, `${name}-b`, issue(`${name}-b`, { key: makeKey(kind) }));
      }
      await addPeerAddresses(sites, CASES.length);
      await peer.loadText(theirConnections(CONNECTIONS));
      await ours.start(ourConnections(CONNECTIONS));
    },
    "signature_authentication = no",
  );
  afterEach(() =>
    closeAll(
      ours,
      peer,
      CASES.map(({ name }) => name),
    ),
  );

  async function expectProofs(name: string, scheme: string): Promise<void> {
    const status = await ours.isUp(name);
    const older = "(the peer does not know RFC 7427)";
    expect(status.localProof).toBe(`certificate "CN=${name}-a", ${scheme} ${older}`);
    expect(status.remoteProof).toBe(`certificate "CN=${name}-b", ${scheme} ${older}`);
  }

  const works = CASES.filter(({ isRefused }) => isRefused !== true);

  test.each(works)("[AUTH-13] we call: $name proves itself by $scheme", async ({ name, scheme }) => {
    await ours.command("up", name);
    await expectProofs(name, scheme);
  });

  test.each(works)("[AUTH-13] strongSwan calls: $name proves itself by $scheme", async ({ name, scheme }) => {
    expect(await peer.initiate(10, name)).toBe(true);
    await expectProofs(name, scheme);
  });

  const words = (pattern: RegExp) =>
    until(
      `status says ${pattern}`,
      async () => pattern.test((await ours.connection("refused")).failure?.lines.join("\n") ?? ""),
      40_000,
      () => ours.log().slice(-3000),
    );

  test("[AUTH-14] without the setting SHA-1 is refused when strongSwan calls, and the setting is named", async () => {
    expect(await peer.initiate(10, "refused")).toBe(false);
    await words(/signs over sha1, which is not taken[\s\S]*connections\.refused\.ike\.sha1_signatures: true/);
  });

  test("strongSwan refuses our SHA-256 when we call, and the setting is named", async () => {
    await ours.command("up", "refused", undefined, 1);
    await words(/did not accept us[\s\S]*SHA-1 alone[\s\S]*connections\.refused\.ike\.sha1_signatures: true/);
    expect(await peer.associations()).toBe("");
  });
});
