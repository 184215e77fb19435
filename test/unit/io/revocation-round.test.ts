/** A peer's check that needs a CRL: asked for once the rest is good, and made again with it. */
import { sign } from "node:crypto";
import { expect, test } from "vitest";
import { utf8 } from "../../../src/base/bytes.ts";
import type { JobId, Work, WorkResult } from "../../../src/ike/machine.ts";
import type { HttpOutcome } from "../../../src/io/bounded-http.ts";
import { type CheckingPool, createComputePool } from "../../../src/io/compute.ts";
import { performWork } from "../../../src/io/compute-work.ts";
import { createSystemRandom } from "../../../src/io/random.ts";
import { fetchingPool } from "../../../src/io/revocation-round.ts";
import type { RevocationRequest } from "../../../src/pki/revocation.ts";
import { AuthMethod, CertEncoding, IdType } from "../../../src/wire/ike/registries.ts";
import {
  ca,
  crlDistributionPoint,
  dns,
  gateway,
  makeKey,
  NOW,
  subjectAltName,
} from "../pki/certificate-maker.ts";
import { crl } from "../pki/revocation-maker.ts";

const random = createSystemRandom();
const URL = "http://crl.example.net/root.crl";
const root = ca("CN=Root");
const own = gateway(root, { extensions: [subjectAltName(dns("gw.example.net")), crlDistributionPoint(URL)] });
const octets = utf8("what AUTH covers");

function work(mode: "strict" | "soft", key = own.key) {
  return {
    kind: "verifyPeer",
    identity: { idType: IdType.FQDN, data: utf8("gw.example.net") },
    trust: {
      kind: "certificate",
      anchors: [root.der],
      authorities: [],
      pinned: [],
      intermediates: [],
      revocation: { mode, lists: [] },
    },
    certificates: [{ kind: "CERT", encoding: CertEncoding.X509_SIGNATURE, data: own.der }],
    method: AuthMethod.ECDSA_SHA256_P256,
    data: new Uint8Array(sign("sha256", octets, { key: key.privateKey, dsaEncoding: "ieee-p1363" })),
    octets,
  } as const satisfies Work;
}

async function check(one: Work, answer: HttpOutcome) {
  const asked: RevocationRequest[] = [];
  const distrusted: RevocationRequest[] = [];
  const source = {
    get(request: RevocationRequest) {
      asked.push(request);
      return Promise.resolve(answer);
    },
    distrust: (request: RevocationRequest) => void distrusted.push(request),
    close: () => undefined,
  };
  const inline: CheckingPool = {
    submit: (job, given, done, fetched) =>
      void setImmediate(() => done(job, performWork(given, { random, wallClock: NOW, fetched }))),
    close: () => Promise.resolve(),
  };
  const pool = fetchingPool(inline, source);
  const result = await new Promise<WorkResult>((resolve) => {
    pool.submit(1 as JobId, one, (_, given) => resolve(given));
  });
  await pool.close();
  return { result, asked: asked.map(({ url }) => url), distrusted: distrusted.length };
}

const list = (revoked: Parameters<typeof crl>[0]["revoked"] = []): HttpOutcome => ({
  kind: "body",
  bytes: crl({ issuer: root, revoked }),
});

test("[OCSP-05] what the certificate names is fetched once, and decides", async () => {
  const good = await check(work("strict"), list());
  expect(good).toMatchObject({ result: { kind: "peerVerified" }, asked: [URL], distrusted: 0 });
  expect(good.result).not.toHaveProperty("isRevocationUnknown");
  const bad = await check(work("soft"), list([own]));
  expect(bad).toMatchObject({
    result: { kind: "peerRefused", finding: { check: "certificate", refusal: { check: "revoked" } } },
    asked: [URL],
  });
});

test("what cannot be fetched is told, and forgotten soon", async () => {
  const failed: HttpOutcome = { kind: "failed", reason: "nobody listens there" };
  expect(await check(work("strict"), failed)).toMatchObject({
    result: {
      finding: { refusal: { check: "revocationUnknown", causes: [{ url: URL, cause: "notFetched" }] } },
    },
    distrusted: 1,
  });
  expect(await check(work("soft"), failed)).toMatchObject({
    result: { kind: "peerVerified", isRevocationUnknown: true },
    distrusted: 1,
  });
  expect(await check(work("soft"), { kind: "body", bytes: utf8("<html>") })).toMatchObject({ distrusted: 1 });
});

test("what is fetched for one peer has a limit together", async () => {
  const bytes = new Uint8Array(17 * 1024 * 1024);
  expect(await check(work("strict"), { kind: "body", bytes })).toMatchObject({
    result: {
      finding: {
        refusal: { causes: [{ cause: "notFetched", detail: "more than 16777216 octets for one peer" }] },
      },
    },
    distrusted: 1,
  });
});

test("[OCSP-05] nothing is fetched for who only has the certificate", async () => {
  expect(await check(work("soft", makeKey()), list())).toMatchObject({
    result: { kind: "peerRefused", finding: { check: "signature" } },
    asked: [],
  });
});

test("nor are lists read for that", async () => {
  const one = work("strict", makeKey());
  const lists = [crl({ issuer: root, revoked: [own] })];
  const trust = { ...one.trust, revocation: { mode: "strict", lists } } as const;
  expect(await check({ ...one, trust }, list())).toMatchObject({
    result: { kind: "peerRefused", finding: { check: "signature" } },
  });
});

test("a peer that sends no certificate may have any of those that are configured", async () => {
  const before = gateway(root);
  const one = work("soft");
  const withPinned = (...pinned: readonly Uint8Array[]) => {
    const trust = { ...one.trust, anchors: [], pinned };
    return check({ ...one, trust, certificates: [] }, list());
  };
  expect(await withPinned(before.der, own.der)).toMatchObject({ result: { kind: "peerVerified" } });
  expect(await withPinned(before.der)).toMatchObject({ result: { finding: { check: "signature" } } });
  const ended = gateway(root, { notAfter: NOW - 1000 });
  expect(await withPinned(ended.der)).toMatchObject({
    result: { finding: { refusal: { check: "expired" } } },
  });
});

test("a short check is made at once, and a thread begins for a longer one", async () => {
  let threads = 0;
  const count = () => void threads++;
  process.on("worker", count);
  const short = work("soft");
  const [certificate] = short.certificates;
  const { trust } = short;
  const padded = { ...certificate, data: new Uint8Array(3000) };
  const longer: Work[] = [
    { ...short, certificates: [certificate, { ...certificate, data: root.der }] },
    { ...short, certificates: [padded] },
    { ...short, data: new Uint8Array(3000) },
    { ...short, trust: { ...trust, anchors: [root.der, own.der] } },
    { ...short, trust: { ...trust, revocation: { mode: "soft", lists: [crl({ issuer: root })] } } },
  ];
  const resultOf = async (one: Work) => {
    const pool = createComputePool(random, new Map(), () => NOW);
    const result = await new Promise((resolve) => pool.submit(1 as JobId, one, (_, given) => resolve(given)));
    await pool.close();
    return result;
  };
  try {
    expect(await resultOf(short)).toMatchObject({ kind: "revocationNeeded" });
    expect(threads).toBe(0);
    for (const one of longer) await resultOf(one);
    expect(threads).toBe(longer.length);
  } finally {
    process.off("worker", count);
  }
});
