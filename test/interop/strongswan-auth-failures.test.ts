/** Proofs of identity that must not be believed, on either side and in both roles, with strongSwan as the peer. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type CertificateRequest,
  ca,
  DAY,
  dns,
  extendedKeyUsage,
  keyUsage,
  type Made,
  makeKey,
  subjectAltName,
} from "../unit/pki/certificate-maker.ts";
import { crl } from "../unit/pki/revocation-maker.ts";
import {
  addPeerAddresses,
  type CertifiedConnection,
  ourConnections,
  publicKeyPem,
  theirConnections,
  writeOurs,
  writeTheirPublicKey,
  writeTheirs,
} from "./harness/certified.ts";
import { issue, oppositeCertified, root, validity } from "./harness/certified-world.ts";
import { until } from "./harness/command.ts";
import type { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import type { StrongSwan } from "./harness/strongswan.ts";

const now = Date.now();
const stranger = ca("O=Somebody, CN=Stranger", validity);

/** What is wrong on strongSwan's side, and what we say of it. */
interface TheirFault {
  readonly name: string;
  readonly made: Made;
  readonly words: RegExp;
  readonly connection?: Partial<CertifiedConnection>;
}

const their = (name: string, options: Partial<CertificateRequest>, words: RegExp): TheirFault => ({
  name,
  made: issue(`${name}-b`, options),
  words,
});
const named = (name: string) => subjectAltName(dns(`${name}-b.test`));

const THEIRS: readonly TheirFault[] = [
  their(
    "wrong-ca",
    { issuer: stranger },
    /was issued by "O=Somebody, CN=Stranger", which is not trusted here/,
  ),
  their("expired", { notAfter: now - DAY }, /"CN=expired-b" has expired/),
  their("not-yet", { notBefore: now + DAY }, /"CN=not-yet-b" is valid from/),
  their(
    "key-usage",
    { extensions: [keyUsage(2), named("key-usage")] },
    /"CN=key-usage-b" must not be used for digitalSignature/,
  ),
  their(
    "purpose",
    { extensions: [keyUsage(0), extendedKeyUsage("1.3.6.1.5.5.7.3.4"), named("purpose")] },
    /"CN=purpose-b" is for other purposes than IPsec/,
  ),
  their("short-key", { key: makeKey("rsa1024") }, /1024 bits/),
  {
    ...their("revoked", {}, /"CN=revoked-b" was revoked on .* says the CRL of its CA/),
    connection: { remote: "ca: root.pem, crl: root.crl" },
  },
  their(
    "other-name",
    { extensions: [keyUsage(0), subjectAltName(dns("somebody.test"))] },
    /"CN=other-name-b" does not name the identity that the peer claims; it names somebody\.test/,
  ),
  {
    ...their("other-key", {}, /was not made with the key that is configured for it here/),
    connection: {
      local: "private_key: other-key-a.key",
      remote: "public_key: somebody.pub",
      theirLocal: "auth = pubkey\n            pubkeys = other-key-b.pub",
      theirRemote: "auth = pubkey\n            pubkeys = other-key-a.pub",
    },
  },
  {
    ...their("method", {}, /proves its identity by a pre-shared key, and we expect a signature/),
    connection: { theirLocal: "auth = psk" },
  },
];

/** What is wrong on ours: strongSwan says no more than AUTHENTICATION_FAILED, its log says why. */
interface OurFault {
  readonly name: string;
  readonly made: Made;
  readonly theirLog: RegExp;
  readonly connection?: Partial<CertifiedConnection>;
}
const our = (name: string, options: Partial<CertificateRequest>, theirLog: RegExp): OurFault => ({
  name,
  made: issue(`${name}-a`, options),
  theirLog,
});

const OURS: readonly OurFault[] = [
  our("our-ca", { issuer: stranger }, /no issuer certificate found for "CN=our-ca-a"/),
  our("our-expired", { notAfter: now - DAY }, /subject certificate invalid \(valid from/),
  our("our-not-yet", { notBefore: now + DAY }, /subject certificate invalid \(valid from/),
  our(
    "our-name",
    { extensions: [keyUsage(0), subjectAltName(dns("somebody.test"))] },
    /no trusted .*public key found for 'our-name-a\.test'/,
  ),
  {
    ...our("our-method", {}, /authentication .* required|constraint/),
    connection: { local: "psk: { file: secret }" },
  },
];

const both = [...THEIRS, ...OURS];
const CONNECTIONS = both.map(
  ({ name, connection = {} }): CertifiedConnection => ({
    name,
    local: `certificate: ${name}-a.pem, private_key: ${name}-a.key`,
    remote: "ca: root.pem, revocation: off",
    theirLocal: `auth = pubkey\n            certs = ${name}-b.pem`,
    ...connection,
  }),
);
const SECRETS = `secrets {
    ike-method {
        id-1 = method-a.test
        id-2 = method-b.test
        secret = "correct horse battery staple"
    }
    ike-our {
        id-1 = our-method-a.test
        id-2 = our-method-b.test
        secret = "correct horse battery staple"
    }
}
`;

describeWith(["tun", "build", "strongswan"], "strongSwan: proofs that are refused", () => {
  let peer: StrongSwan;
  let ours: Gateway;

  oppositeCertified(
    (world) => {
      ({ peer, ours } = world);
    },
    async ({ sites }) => {
      ours.writeSecret("secret", "correct horse battery staple\n");
      ours.writeSecret("somebody.pub", publicKeyPem(issue("somebody")));
      const revoked = THEIRS.filter(({ name }) => name === "revoked").map(({ made }) => made);
      ours.writeSecret(
        "root.crl",
        crl({ issuer: root, revoked, thisUpdate: now - DAY, nextUpdate: now + DAY }),
      );
      for (const { name, made } of THEIRS) {
        const own = issue(`${name}-a`);
        writeOurs(ours, `${name}-a`, [own]);
        writeTheirs(peer, `${name}-b`, made);
        writeTheirPublicKey(peer, `${name}-a`, own);
        writeTheirPublicKey(peer, `${name}-b`, made);
      }
      for (const { name, made } of OURS) {
        writeOurs(ours, `${name}-a`, [made]);
        writeTheirs(peer, `${name}-b`, issue(`${name}-b`));
      }
      await addPeerAddresses(sites, CONNECTIONS.length);
      await peer.loadText(theirConnections(CONNECTIONS, SECRETS));
    },
  );

  const failureOf = async (name: string) => (await ours.connection(name)).failure?.lines.join("\n") ?? "";

  async function expectWords(name: string, words: RegExp): Promise<void> {
    let found = "";
    await until(
      `status of ${name} says ${words}`,
      async () => {
        found = await failureOf(name);
        return words.test(found);
      },
      40_000,
      () => `${found}\n${ours.log().slice(-2000)}`,
    );
  }

  async function expectNothingLeft(name: string): Promise<void> {
    await until(
      `nothing is left of ${name}`,
      async () => {
        const status = await ours.connection(name);
        const isGone = status.initiatorSpi === undefined && status.state !== "up";
        return isGone && !(await peer.associations()).includes(`${name}:`);
      },
      40_000,
      () => `${ours.log().slice(-2000)}
${peer.log().slice(-1000)}`,
    );
  }

  /** What strongSwan has logged since the call, so that one case does not speak for another. */
  function since(): () => string {
    const start = peer.log().length;
    return () => peer.log().slice(start);
  }

  // A failure that is told once is not told again at once, so that each role has a daemon of its own.
  describe.each(["we call", "strongSwan calls"] as const)("%s", (role) => {
    beforeAll(() => ours.start(ourConnections(CONNECTIONS)));
    afterAll(() => ours.stop());

    async function call(name: string): Promise<void> {
      if (role === "we call") await ours.command("up", name, undefined, 1);
      else expect(await peer.initiate(10, name)).toBe(false);
    }

    test.each(THEIRS)(
      "[AUTH-07] [AUTH-09] $name: we refuse it, in words here and none to the peer",
      async (one) => {
        const theirLog = since();
        await call(one.name);
        await expectWords(one.name, one.words);
        await expectNothingLeft(one.name);
        const told = [
          ...theirLog().matchAll(/parsed (?:IKE_AUTH response|INFORMATIONAL request) \d+ \[ (.*) \]/g),
        ];
        expect(told.map(([, payloads]) => payloads).at(-1)).toBe("N(AUTH_FAILED)");
      },
    );

    test.each(OURS)("$name: strongSwan refuses us, and we say so", async (one) => {
      const theirLog = since();
      await call(one.name);
      await expectWords(one.name, /did not accept us as/);
      await expectNothingLeft(one.name);
      expect(theirLog()).toMatch(one.theirLog);
    });
  });
});
