/** Certificates, raw keys and a secret on one side only, between strongSwan and us, each of us in both roles. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import {
  addPeerAddresses,
  type CertifiedConnection,
  ourConnections,
  theirConnections,
} from "./harness/certified.ts";
import { run } from "./harness/command.ts";
import { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { StrongSwan } from "./harness/strongswan.ts";
import { TwoSites } from "./harness/two-sites.ts";

const SECRET = "correct horse battery staple";

/** One connection of each kind; their identities tell them apart, and each has networks of its own. */
interface Case {
  readonly name: string;
  /** What openssl makes the keys of, on both sides; absent: strongSwan or we have a secret. */
  readonly key: readonly string[];
  /** Lines of ours for `local` and `remote`. */
  readonly local: (name: string) => string;
  readonly remote: (name: string) => string;
  /** strongSwan's `local` and `remote`. */
  readonly theirLocal: (name: string) => string;
  readonly theirRemote: (name: string) => string;
  /** What `status` has to show. */
  readonly ours: RegExp;
  readonly theirs: RegExp;
}

const RSA = ["-newkey", "rsa:2048"];
const EC = (curve: string) => ["-newkey", "ec", "-pkeyopt", `ec_paramgen_curve:${curve}`];

function certificates(
  name: string,
  key: readonly string[],
  scheme: { ours: RegExp; theirs: RegExp },
  more: { local?: string; theirAuth?: string; ca?: string; own?: string } = {},
): Case {
  return {
    name,
    key,
    local: (one) =>
      `certificate: ${more.own ?? `${one}-a.pem`}, private_key: ${one}-a.key${more.local ?? ""}`,
    remote: () => `ca: ${more.ca ?? "ca.pem"}`,
    theirLocal: (one) => `auth = ${more.theirAuth ?? "pubkey"}\n certs = ${one}-b.pem`,
    theirRemote: () => "auth = pubkey",
    ...scheme,
  };
}

const CASES: readonly Case[] = [
  certificates(
    "rsa",
    RSA,
    { ours: /rsa-pkcs1 sha256/, theirs: /rsa-pkcs1 sha/ },
    { local: ", rsa_padding: pkcs1" },
  ),
  certificates(
    "pss",
    RSA,
    { ours: /rsa-pss sha256/, theirs: /rsa-pss sha384/ },
    { theirAuth: "rsa/pss-sha384" },
  ),
  certificates("p256", EC("P-256"), { ours: /ecdsa sha256/, theirs: /ecdsa sha256/ }),
  certificates("p384", EC("P-384"), { ours: /ecdsa sha384/, theirs: /ecdsa sha384/ }),
  certificates("p521", EC("P-521"), { ours: /ecdsa sha512/, theirs: /ecdsa sha512/ }),
  certificates("ed25519", ["-newkey", "ed25519"], { ours: /ed25519/, theirs: /ed25519/ }),
  certificates("ed448", ["-newkey", "ed448"], { ours: /ed448/, theirs: /ed448/ }),
  {
    name: "raw",
    key: RSA,
    local: (name) => `private_key: ${name}-a.key`,
    remote: (name) => `public_key: ${name}-b.pub`,
    theirLocal: (name) => `auth = pubkey\n pubkeys = ${name}-b.pub`,
    theirRemote: (name) => `auth = pubkey\n pubkeys = ${name}-a.pub`,
    ours: /^key, rsa-pss sha256/,
    theirs: /^key, rsa-pkcs1 sha/,
  },
  {
    name: "split",
    key: RSA,
    local: (name) => `certificate: ${name}-a.pem, private_key: ${name}-a.key`,
    remote: () => "psk: { file: secret }",
    theirLocal: () => "auth = psk",
    theirRemote: () => "auth = pubkey",
    ours: /certificate "CN=split-a", rsa-pss sha256/,
    theirs: /^pre-shared key$/,
  },
  {
    name: "split-back",
    key: RSA,
    local: () => "psk: { file: secret }",
    remote: () => "ca: ca.pem",
    theirLocal: (name) => `auth = pubkey\n certs = ${name}-b.pem`,
    theirRemote: () => "auth = psk",
    ours: /^pre-shared key$/,
    theirs: /certificate "CN=split-back-b", rsa-pkcs1 sha/,
  },
];

const openssl = (folder: string, words: readonly string[]) =>
  run(["openssl", ...words], { env: { PWD: folder } });

/** A CA, and a key pair with certificate for both sides of each case. */
async function makeKeys(folder: string): Promise<void> {
  const path = (name: string) => join(folder, name);
  await openssl(folder, [
    ...["req", "-x509", ...RSA, "-noenc", "-keyout", path("ca.key"), "-out", path("ca.pem")],
    ...["-subj", "/O=Tungate test/CN=CA", "-days", "365"],
  ]);
  await Promise.all(
    CASES.flatMap(({ name, key }) =>
      ["a", "b"].map(async (side) => {
        const one = `${name}-${side}`;
        await openssl(folder, [
          ...["req", "-new", ...key, "-noenc", "-keyout", path(`${one}.key`), "-out", path(`${one}.csr`)],
          ...["-subj", `/CN=${one}`],
        ]);
        writeFileSync(path(`${one}.ext`), `subjectAltName=DNS:${one}.test\n`);
        await openssl(folder, [
          ...["x509", "-req", "-in", path(`${one}.csr`), "-CA", path("ca.pem"), "-CAkey", path("ca.key")],
          ...["-days", "365", "-extfile", path(`${one}.ext`), "-out", path(`${one}.pem`)],
        ]);
        await openssl(folder, ["pkey", "-in", path(`${one}.key`), "-pubout", "-out", path(`${one}.pub`)]);
      }),
    ),
  );
}

const CONNECTIONS = CASES.map(
  ({ name, local, remote, theirLocal, theirRemote }): CertifiedConnection => ({
    name,
    local: local(name),
    remote: remote(name),
    theirLocal: theirLocal(name),
    theirRemote: theirRemote(name),
  }),
);
const SECRETS = `secrets {
    ike-split {
        id-1 = split-a.test
        id-2 = split-b.test
        secret = "${SECRET}"
    }
    ike-back {
        id-1 = split-back-a.test
        id-2 = split-back-b.test
        secret = "${SECRET}"
    }
}
`;

describeWith(["tun", "build", "strongswan"], "strongSwan: certificates and raw keys", () => {
  let sites: TwoSites;
  let peer: StrongSwan;
  let ours: Gateway;

  beforeAll(async () => {
    sites = await TwoSites.create();
    peer = new StrongSwan(sites.b.gateway, join(sites.folder, "strongswan"));
    ours = new Gateway(sites.a.gateway, join(sites.folder, "tungate"));
    const keys = join(sites.folder, "keys");
    mkdirSync(keys);
    await Promise.all([makeKeys(keys), peer.start()]);
    for (const folder of ["x509", "x509ca", "private", "pubkey"])
      mkdirSync(join(peer.credentials, folder), { recursive: true });
    cpSync(join(keys, "ca.pem"), join(peer.credentials, "x509ca/ca.pem"));
    for (const { name } of CASES) {
      cpSync(join(keys, `${name}-b.pem`), join(peer.credentials, `x509/${name}-b.pem`));
      cpSync(join(keys, `${name}-b.key`), join(peer.credentials, `private/${name}-b.key`));
      for (const side of ["a", "b"])
        cpSync(join(keys, `${name}-${side}.pub`), join(peer.credentials, `pubkey/${name}-${side}.pub`));
      for (const file of [`${name}-a.pem`, `${name}-a.key`, `${name}-b.pub`])
        ours.writeSecret(file, readFileSync(join(keys, file), "utf8"));
    }
    ours.writeSecret("ca.pem", readFileSync(join(keys, "ca.pem"), "utf8"));
    await addPeerAddresses(sites, CASES.length);
    ours.writeSecret("secret", `${SECRET}\n`);
    await peer.loadText(theirConnections(CONNECTIONS, SECRETS));
  });
  afterEach(() => ours.stop());
  afterAll(async () => {
    await ours.kill();
    await peer.stop();
    await sites.remove();
  });

  test("we call: strongSwan believes each kind of proof, and we believe its", async () => {
    await ours.start(ourConnections(CONNECTIONS, "up"));
    for (const { name, ours: own, theirs } of CASES) {
      const status = await ours.isUp(name);
      expect(status.localProof, name).toMatch(own);
      expect(status.remoteProof, name).toMatch(theirs);
    }
  });

  test("strongSwan calls: the same in the other role", async () => {
    await ours.start(ourConnections(CONNECTIONS));
    for (const { name } of CASES) expect(await peer.initiate(10, name), name).toBe(true);
    for (const { name, ours: own, theirs } of CASES) {
      const status = await ours.isUp(name);
      expect(status.localProof, name).toMatch(own);
      expect(status.remoteProof, name).toMatch(theirs);
    }
  });
});
