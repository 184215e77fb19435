/** docs/troubleshooting.md knows every code, and quotes what the daemon says. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parsePrefix, prefixRange } from "../../../src/base/address-range.ts";
import { utf8 } from "../../../src/base/bytes.ts";
import { Instant } from "../../../src/base/instant.ts";
import { parseIpAddress } from "../../../src/base/ip-address.ts";
import { Spi } from "../../../src/base/spi.ts";
import type { IkeNotice } from "../../../src/ike/notice.ts";
import { NOTICE_CODES } from "../../../src/observe/log.ts";
import { unreachableText } from "../../../src/observe/unreachable-words.ts";
import { noticeWords } from "../../../src/observe/words.ts";
import { parseProposal } from "../../../src/policy/proposal-keyword.ts";
import { addressSelector } from "../../../src/policy/traffic-selector.ts";
import { IdType, NotifyType } from "../../../src/wire/ike/registries.ts";

const page = readFileSync(new URL("../../../docs/troubleshooting.md", import.meta.url), "utf8");
const rows = page.split("\n").filter((line) => line.startsWith("| `"));
const rowOf = (code: string) => rows.find((row) => row.split("|")[1]!.includes(`\`${code}\``));

test.each(NOTICE_CODES)("%s has a row in docs/troubleshooting.md", (code) => {
  expect(rowOf(code), `docs/troubleshooting.md needs a row that begins with | \`${code}\` |`).toBeDefined();
});

const place = { file: "/etc/tungate/tungate.yaml", line: 31 };
const remote = { address: parseIpAddress("198.51.100.77")!, port: 500 };
const rome = { connection: "rome", remote };
const lan = { ...rome, child: "lan" };
const fqdn = (text: string) => ({ idType: IdType.FQDN, data: utf8(text) });
const side = (text: string) => [addressSelector(prefixRange(parsePrefix(text)!))];
const ours = { local: side("10.1.0.0/16"), remote: side("10.2.0.0/16") };
const sent = [parseProposal("aes256gcm16-prfsha384-x25519", "ike")];
const nat = { isSupported: true, weAreBehind: true, peerIsBehind: false };
const identity = fqdn("gw-b.example.net");

const EXAMPLES: readonly IkeNotice[] = [
  { ...rome, code: "noAnswer", exchange: "IKE_SA_INIT", tries: 5 },
  { ...rome, code: "noLocalAddress", address: remote.address },
  { connection: "rome", code: "noAddressToCall", place },
  { remote, code: "noConnectionFor" },
  { ...rome, code: "peerSpeaksIkeV1" },
  {
    ...rome,
    code: "noCommonProposal",
    role: "responder",
    protocol: "ike",
    received: [],
    configured: sent,
    difference: [],
  },
  { ...rome, code: "proposalRejectedByPeer", protocol: "ike", sent },
  { ...rome, code: "keyExchangeRefused", method: 31, reason: "the public value is not on the curve" },
  { ...rome, code: "encapsulationImpossible", wanted: "esp", nat },
  { ...rome, code: "errorFromPeer", exchange: "IKE_AUTH", notifyType: NotifyType.INVALID_SYNTAX },
  { ...rome, code: "refused", exchange: "IKE_AUTH", notifyType: 7, what: "IKE_AUTH request" },
  { ...rome, code: "duplicateRefused", identity },
  { ...rome, code: "saTableFull" },
  {
    ...rome,
    code: "identityMismatch",
    role: "responder",
    received: fqdn("gw-x.example.net"),
    expected: [identity],
  },
  {
    ...rome,
    code: "localIdentityMismatch",
    asked: fqdn("gw-z.example.net"),
    ours: fqdn("gw-a.example.net"),
  },
  {
    ...rome,
    code: "authenticationFailed",
    role: "responder",
    cause: "wrongKey",
    expects: "psk",
    identity,
    method: 2,
  },
  { ...rome, code: "authenticationRejectedByPeer", by: "psk", sentIdentity: fqdn("gw-a.example.net") },
  { ...rome, code: "authenticationNotComputed", what: "proof", reason: "no key" },
  { ...rome, code: "noCommonSignature" },
  { ...lan, code: "selectorsUnacceptable", role: "responder", ours, theirs: ours },
  { ...lan, code: "askingInParts", saPer: "pair", notifyType: NotifyType.TS_UNACCEPTABLE, pairs: 4 },
  { ...lan, code: "rekeyRefused", notifyType: 14, method: 31, isRehearsal: false, sent },
  { ...rome, code: "ppkRefused", reason: "notSupported" },
  { ...lan, code: "childLimit", of: "ikeSa", limit: 256 },
  { ...lan, code: "transportRefused", role: "initiator", reason: "notConfirmed" },
  { ...lan, code: "aggfragNotAgreed", role: "initiator", refusal: "absent" },
  { ...lan, code: "aggfragOff", refusal: "absent" },
  { ...rome, code: "retrying", at: Instant(18_000), attempt: 3 },
  {
    ...lan,
    code: "softLimit",
    limit: "octets",
    spis: { inboundSpi: Spi(0xc0ffee01), outboundSpi: Spi(0xc0ffee02) },
  },
  {
    code: "networksShared",
    remote: rome.remote,
    identity: fqdn("c.example.net"),
    selectors: ours,
    other: "clients#1",
    otherIdentity: fqdn("a.example.net"),
  },
  { ...rome, code: "natDetected", nat },
  { ...rome, code: "fragmentsShrunk", from: 1280, to: 576 },
  { ...rome, code: "invalidKeRetry", sent: 31, wanted: 14 },
  { code: "cookiesOn", halfOpen: 32 },
  { ...rome, code: "unauthenticatedNotify", notifyType: NotifyType.AUTHENTICATION_FAILED },
];

test.each(EXAMPLES.map((notice) => [notice.code, notice] as const))(
  "%s is quoted as it is said",
  (code, notice) => {
    expect(rowOf(code)).toContain(noticeWords(notice, Instant(0))[0]);
  },
);

test("what ICMP and this host say of a peer is quoted as it is said", () => {
  const reporter = parseIpAddress("192.0.2.9")!;
  const said = [
    unreachableText({ by: "peer", reason: "port", remote, reporter: remote.address }),
    ...(["host", "net", "prohibited"] as const).map((reason) =>
      unreachableText({ by: "router", reason, remote, reporter }),
    ),
    // The guide stops at the colon.
    unreachableText({ by: "host", reason: "host", remote }).split(":")[0]!,
    ...(["noRoute", "blocked"] as const).map((reason) => unreachableText({ by: "host", reason, remote })),
  ];
  const quoted = [...page.matchAll(/^ {2}\| ([^|]+) \| [^|]+ \|$/gm)].map(([, sentence]) => sentence);
  expect(quoted.slice(2)).toEqual(said);
});
