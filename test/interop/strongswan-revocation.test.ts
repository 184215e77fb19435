/** Chains with intermediate CAs, over-long ones, name constraints, identities by DN and pattern, CRL and OCSP: strongSwan as the peer in both roles. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  basicConstraints,
  type CertificateRequest,
  ca,
  certificate,
  crlDistributionPoint,
  DAY,
  dns,
  type Extension,
  extendedKeyUsage,
  keyUsage,
  type Made,
  makeKey,
  nameConstraints,
  ocspAccess,
  subjectAltName,
} from "../unit/pki/certificate-maker.ts";
import { crl } from "../unit/pki/revocation-maker.ts";
import { certificatePem, keyPem } from "./harness/certified.ts";
import { BackgroundProcess, until } from "./harness/command.ts";
import { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { StrongSwan } from "./harness/strongswan.ts";
import { SITE_A, SITE_B, TwoSites } from "./harness/two-sites.ts";

const LISTS_PORT = 8080;
const OCSP_PORT = 8081;
const NOBODY_PORT = 8082;
const LISTS = `http://${SITE_B.outer4}:${LISTS_PORT}`;
const now = Date.now();
const validity = { notBefore: now - 30 * DAY, notAfter: now + 365 * DAY };

const authority = (subject: string, options: Partial<CertificateRequest> = {}) =>
  ca(subject, { ...validity, ...options });
const issue = (issuer: Made, name: string, ...extensions: readonly Extension[]) =>
  certificate({
    ...validity,
    subject: `O=Tungate test, CN=${name}`,
    key: makeKey(),
    issuer,
    extensions: [keyUsage(0), subjectAltName(dns(`${name}.test`)), ...extensions],
  });

const root = authority("O=Tungate test, CN=Root");
const middle = authority("O=Tungate test, CN=Middle", { issuer: root });
/** strongSwan gets to know it from us alone. */
const ourMiddle = authority("O=Tungate test, CN=Our middle", { issuer: root });
const flat = authority("O=Tungate test, CN=Flat", {
  issuer: root,
  extensions: [basicConstraints(true, 0), keyUsage(5, 6)],
});
const tooDeep = authority("O=Tungate test, CN=Too deep", { issuer: flat });
const named = authority("O=Tungate test, CN=Named", {
  issuer: root,
  extensions: [basicConstraints(true), keyUsage(5, 6), nameConstraints([dns("test")])],
});
const elsewhere = authority("O=Tungate test, CN=Elsewhere", {
  issuer: root,
  extensions: [basicConstraints(true), keyUsage(5, 6), nameConstraints([dns("example.net")])],
});
const responder = certificate({
  ...validity,
  subject: "O=Tungate test, CN=Responder",
  key: makeKey(),
  issuer: root,
  extensions: [keyUsage(0), extendedKeyUsage("1.3.6.1.5.5.7.3.9")],
});

/** A connection: strongSwan's certificate, how strictly we look at it, and what comes of that. */
interface Case {
  readonly name: string;
  readonly peer: Made;
  readonly mode: "strict" | "soft" | "off";
  /** How it calls itself, and whom we expect; absent: by its name in the certificate. */
  readonly theirId?: string;
  readonly expected?: string;
  /** What the log says of the refusal; absent: the connection comes up. */
  readonly refusal?: RegExp;
  readonly proof?: RegExp;
}

const byCrl = (name: string) => issue(root, `${name}-b`, crlDistributionPoint(`${LISTS}/root.crl`));
const byOcsp = (name: string) =>
  issue(root, `${name}-b`, ocspAccess(`http://${SITE_B.outer4}:${OCSP_PORT}/`));
const REVOKED = /"O=Tungate test, CN=[a-z-]+" was revoked on .* says the CRL of its CA/;
const REVOKED_OCSP = /"O=Tungate test, CN=[a-z-]+" was revoked on .* says the OCSP responder of its CA/;

const CASES: readonly Case[] = [
  { name: "multi-ca", peer: issue(middle, "multi-ca-b"), mode: "off" },
  {
    name: "pathlen",
    peer: issue(tooDeep, "pathlen-b"),
    mode: "off",
    refusal: /below "O=Tungate test, CN=Flat" stand more intermediate CAs than it allows \(0\)/,
  },
  { name: "constraints", peer: issue(named, "constraints-b"), mode: "off" },
  {
    name: "constraints-left",
    peer: issue(elsewhere, "constraints-left-b"),
    mode: "off",
    refusal:
      /has the name constraints-left-b\.test, which "O=Tungate test, CN=Elsewhere" may not give \(name constraints\)/,
  },
  {
    name: "dn",
    peer: issue(root, "dn-b"),
    mode: "off",
    theirId: "O=Tungate test, CN=dn-b",
    expected: "dn:O=Tungate test, CN=dn-b",
  },
  {
    name: "dn-pattern",
    peer: issue(root, "dn-pattern-b"),
    mode: "off",
    theirId: "O=Tungate test, CN=dn-pattern-b",
    expected: "dn:O=Tungate test, CN=*",
  },
  { name: "pattern", peer: issue(root, "pattern-b"), mode: "off", expected: "*.test" },
  { name: "crl-strict", peer: byCrl("crl-strict"), mode: "strict" },
  { name: "crl-revoked-strict", peer: byCrl("crl-revoked-strict"), mode: "strict", refusal: REVOKED },
  { name: "crl-revoked-soft", peer: byCrl("crl-revoked-soft"), mode: "soft", refusal: REVOKED },
  { name: "ocsp-strict", peer: byOcsp("ocsp-strict"), mode: "strict" },
  { name: "ocsp-revoked-strict", peer: byOcsp("ocsp-revoked-strict"), mode: "strict", refusal: REVOKED_OCSP },
  { name: "ocsp-revoked-soft", peer: byOcsp("ocsp-revoked-soft"), mode: "soft", refusal: REVOKED_OCSP },
  {
    name: "unknown-strict",
    peer: issue(root, "unknown-strict-b", crlDistributionPoint(`http://${SITE_B.outer4}:${NOBODY_PORT}/`)),
    mode: "strict",
    refusal: /nothing proves that .* is not revoked: .* could not be fetched \(nobody listens there\)/,
  },
  {
    name: "unknown-soft",
    peer: issue(root, "unknown-soft-b", crlDistributionPoint(`http://${SITE_B.outer4}:${NOBODY_PORT}/`)),
    mode: "soft",
    proof: /nobody could say whether it is revoked/,
  },
  {
    name: "private-strict",
    peer: issue(root, "private-strict-b", crlDistributionPoint("http://127.0.0.1:8080/root.crl")),
    mode: "strict",
    refusal: /127\.0\.0\.1 is a private or local address; gateway\.revocation\.private would allow it/,
  },
];

const revoked = CASES.filter(({ name }) => name.includes("revoked")).map(({ peer }) => peer);
const own = new Map(CASES.map(({ name }) => [name, issue(ourMiddle, `${name}-a`)]));

function ourSettings(): string {
  const connections = CASES.map(
    ({ name, mode, expected = `${name}-b.test` }, i) => `  ${name}:
    local: { id: ${name}-a.test, certificate: ${name}-a.pem, private_key: ${name}-a.key }
    remote: { address: ${SITE_B.outer4}, id: "${expected}", ca: root.pem, revocation: ${mode} }
    keep: respond
    children: { lan: { local: 10.1.${i}.0/24, remote: 10.2.${i}.0/24 } }
`,
  );
  return `version: 1\ngateway: { listen: [${SITE_A.outer4}] }\nconnections:\n${connections.join("")}`;
}

function theirSettings(): string {
  const connections = CASES.map(
    ({ name, theirId = `${name}-b.test` }, i) => `    ${name} {
        version = 2
        local_addrs = ${SITE_B.outer4}
        remote_addrs = ${SITE_A.outer4}
        local {
            auth = pubkey
            certs = ${name}-b.pem
            id = "${theirId}"
        }
        remote {
            auth = pubkey
            id = ${name}-a.test
        }
        children {
            lan {
                local_ts = 10.2.${i}.0/24
                remote_ts = 10.1.${i}.0/24
            }
        }
    }
`,
  );
  return `connections {\n${connections.join("")}}\n`;
}

/** The CA's database as openssl keeps it: V or R, when it ends, when it was revoked, serial number. */
function ocspIndex(): string {
  const time = (milliseconds: number) =>
    `${new Date(milliseconds).toISOString().slice(2, 19).replace(/[-:T]/g, "")}Z`;
  return CASES.map(({ name, peer }) => {
    const isRevoked = revoked.includes(peer);
    const serial = Buffer.from(peer.serial.subarray(2)).toString("hex").toUpperCase();
    const words = [isRevoked ? "R" : "V", time(validity.notAfter), isRevoked ? time(now - DAY) : "", serial];
    return `${[...words, "unknown", `/CN=${name}`].join("\t")}\n`;
  }).join("");
}

describeWith(["tun", "build", "strongswan"], "strongSwan: chains and revocation", () => {
  let sites: TwoSites;
  let peer: StrongSwan;
  let ours: Gateway;
  const servers: BackgroundProcess[] = [];

  /** Files, then who serves them, in the peer's namespace. */
  async function serve(): Promise<void> {
    const folder = join(sites.folder, "lists");
    mkdirSync(folder);
    const write = (name: string, content: string | Uint8Array) => {
      writeFileSync(join(folder, name), content);
      return join(folder, name);
    };
    write("root.crl", crl({ issuer: root, revoked, thisUpdate: now - DAY, nextUpdate: now + DAY }));
    const files = ["-index", write("index.txt", ocspIndex()), "-CA", write("ca.pem", certificatePem(root))];
    const signer = [
      "-rsigner",
      write("r.pem", certificatePem(responder)),
      "-rkey",
      write("r.key", keyPem(responder)),
    ];
    const responding = ["openssl", "ocsp", ...files, ...signer, "-port", String(OCSP_PORT), "-nmin", "60"];
    const script = join(import.meta.dirname, "harness/revocation-server.mjs");
    const listing = [process.execPath, script, folder, SITE_B.outer4, String(LISTS_PORT)];
    for (const [name, command] of [
      ["ocsp", responding],
      ["lists", listing],
    ] as const)
      servers.push(
        new BackgroundProcess(sites.b.gateway.command([...command]), join(sites.folder, `${name}.log`)),
      );
    await until(
      "both servers listen",
      async () => {
        const { stdout } = await sites.b.gateway.run(["ss", "-Hltn"]);
        return [LISTS_PORT, OCSP_PORT].every((port) => stdout.includes(`:${port} `));
      },
      40_000,
      () => servers.map((server) => server.log()).join("\n"),
    );
  }

  beforeAll(async () => {
    sites = await TwoSites.create();
    peer = new StrongSwan(sites.b.gateway, join(sites.folder, "strongswan"));
    ours = new Gateway(sites.a.gateway, join(sites.folder, "tungate"));
    await Promise.all([serve(), peer.start()]);
    for (const folder of ["x509", "x509ca", "private"])
      mkdirSync(join(peer.credentials, folder), { recursive: true });
    const theirs = (name: string, text: string) => writeFileSync(join(peer.credentials, name), text);
    for (const [name, one] of Object.entries({ middle, flat, tooDeep, named, elsewhere }))
      theirs(`x509ca/${name}.pem`, certificatePem(one));
    theirs("x509ca/root.pem", certificatePem(root));
    for (const { name, peer: made } of CASES) {
      theirs(`x509/${name}-b.pem`, certificatePem(made));
      theirs(`private/${name}-b.pem`, keyPem(made));
      const mine = own.get(name)!;
      ours.writeSecret(`${name}-a.pem`, certificatePem(mine) + certificatePem(ourMiddle));
      ours.writeSecret(`${name}-a.key`, keyPem(mine));
    }
    ours.writeSecret("root.pem", certificatePem(root));
    await sites.b.gateway.ip(CASES.map((_, i) => `addr add 10.2.${i}.2/32 dev lan0`).join("\n"));
    await peer.loadText(theirSettings());
  });
  afterAll(async () => {
    await ours?.kill();
    await peer?.stop();
    for (const server of servers) await server.stop("SIGKILL");
    await sites?.remove();
  });

  async function expectOutcome({ name, refusal, proof }: Case): Promise<void> {
    if (refusal !== undefined) {
      const said = () =>
        ours
          .log()
          .split("\n")
          .filter((line) => line.includes(` ${name} `));
      await until(
        `the log says why ${name} is refused`,
        () => refusal.test(said().join("\n")),
        40_000,
        () => ours.log().slice(-4000),
      );
      expect((await ours.connection(name)).state).not.toBe("up");
      return;
    }
    const status = await ours.isUp(name);
    expect(status.remoteProof, name).toContain(`CN=${name}-b`);
    if (proof !== undefined) expect(status.remoteProof).toMatch(proof);
  }

  // The log tells the same failure once, so that each role has a daemon of its own.
  describe("we call", () => {
    beforeAll(() => ours.start(ourSettings()));
    afterAll(() => ours.stop());

    test.each(CASES)("$name", async (one) => {
      await ours.command("up", one.name, undefined, one.refusal === undefined ? 20 : 1);
      await expectOutcome(one);
      await ours.command("down", one.name);
    });
  });

  describe("strongSwan calls", () => {
    beforeAll(() => ours.start(ourSettings()));
    afterAll(() => ours.stop());

    test.each(CASES)("$name", async (one) => {
      const isUp = await peer.initiate(8, one.name);
      await expectOutcome(one);
      expect(isUp).toBe(one.refusal === undefined);
    });
  });
});
