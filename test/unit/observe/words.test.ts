/** Notices in words: what an operator reads for each failure, in both roles. */
import { expect, test } from "vitest";
import { parsePrefix, prefixRange } from "../../../src/base/address-range.ts";
import { utf8 } from "../../../src/base/bytes.ts";
import { DurationMs, Instant } from "../../../src/base/instant.ts";
import { IpAddress, parseIpAddress } from "../../../src/base/ip-address.ts";
import { Spi, ZERO_IKE_SPI } from "../../../src/base/spi.ts";
import type { Unreachable } from "../../../src/ike/connection-state.ts";
import type {
  FailureNotice,
  IkeNotice,
  TransformDifference,
  TransportRefusal,
} from "../../../src/ike/notice.ts";
import { failureWords } from "../../../src/observe/failure-words.ts";
import { suggestedProposal } from "../../../src/observe/proposal-words.ts";
import { noticeWords } from "../../../src/observe/words.ts";
import { parseProposal } from "../../../src/policy/proposal-keyword.ts";
import { addressSelector } from "../../../src/policy/traffic-selector.ts";
import type { Proposal, Transform } from "../../../src/wire/ike/payload.ts";
import { IdType, NotifyType, TransformType } from "../../../src/wire/ike/registries.ts";

const { ENCR, INTEG, PRF, KE, ESN } = TransformType;
const remote = { address: parseIpAddress("198.51.100.77")!, port: 500 };
const place = { file: "/etc/tungate/tungate.yaml", line: 31 };
const rome = { connection: "rome", remote, place };
const fqdn = (text: string) => ({ idType: IdType.FQDN, data: utf8(text) });
const range = (text: string) => addressSelector(prefixRange(parsePrefix(text)!));
const text = (notice: IkeNotice) => noticeWords(notice, Instant(0)).join("\n");

const row = (type: number, theirs: [number, number?][], ours: [number, number?][]): TransformDifference => {
  const choices = (list: [number, number?][]) => list.map(([id, keyBits]) => ({ id, keyBits: keyBits ?? 0 }));
  const [left, right] = [choices(theirs), choices(ours)];
  return {
    type,
    theirs: left,
    ours: right,
    common: right.filter((one) => left.some((other) => one.id === other.id && one.keyBits === other.keyBits)),
  };
};
const proposal = (protocolId: number, ...transforms: Transform[]): Proposal => ({
  number: 1,
  protocolId,
  spi: new Uint8Array(0),
  transforms,
});

const ikeMismatch: FailureNotice = {
  ...rome,
  code: "noCommonProposal",
  role: "responder",
  protocol: "ike",
  received: [
    proposal(
      1,
      { type: ENCR, id: 12, keyBits: 256 },
      { type: ENCR, id: 12, keyBits: 128 },
      { type: INTEG, id: 12 },
      { type: PRF, id: 5 },
      { type: KE, id: 14 },
    ),
  ],
  configured: [parseProposal("aes256gcm16-prfsha384-x25519", "ike")],
  difference: [
    row(
      ENCR,
      [
        [12, 256],
        [12, 128],
      ],
      [[20, 256]],
    ),
    row(INTEG, [[12]], []),
    row(PRF, [[5]], [[6]]),
    row(KE, [[14]], [[31]]),
  ],
};

test("no common proposal is a table with the line that would settle it", () => {
  expect(text(ikeMismatch)).toBe(`no common IKE proposal with 198.51.100.77
encryption    they offer aes256, aes128  we allow aes256gcm16
integrity     they offer sha256          none is needed with aes256gcm16
prf           they offer prfsha256       we allow prfsha384
key exchange  they offer modp2048        we allow x25519
to accept this peer, add aes256-sha256-modp2048 to connections.rome.ike.proposals (tungate.yaml:31)`);
});

test("what both sides have is said too, and instances lead to the key of their connection", () => {
  const words = failureWords({
    ...ikeMismatch,
    connection: "rome#3",
    difference: [row(ENCR, [[20, 256]], [[20, 256]]), row(KE, [[14]], [[31]])],
  } as FailureNotice);
  expect(words[1]).toBe("encryption    both have aes256gcm16");
  expect(words.at(-1)).toContain("connections.rome.ike.proposals");
});

test("a peer that offers nothing usable is told what it should offer", () => {
  const words = failureWords({
    ...ikeMismatch,
    received: [
      proposal(1, { type: ENCR, id: 3 }, { type: INTEG, id: 2 }, { type: PRF, id: 2 }, { type: KE, id: 2 }),
    ],
    difference: [row(ENCR, [[3]], [[20, 256]]), row(KE, [[2]], [[31]])],
  } as FailureNotice);
  expect(words.join("\n")).toBe(`no common IKE proposal with 198.51.100.77
encryption    they offer 3des      we allow aes256gcm16
key exchange  they offer modp1024  we allow x25519
nothing that they offer is supported here; have them add aes256gcm16-prfsha384-x25519`);
});

test("a child's first negotiation has no key exchange, which is no difference", () => {
  const esp = (theirs: TransformDifference): FailureNotice => ({
    ...rome,
    child: "lan",
    code: "noCommonProposal",
    role: "responder",
    protocol: "esp",
    received: [
      proposal(3, { type: ENCR, id: 12, keyBits: 256 }, { type: INTEG, id: 12 }, { type: ESN, id: 0 }),
    ],
    configured: [parseProposal("aes256gcm16-x25519", "esp")],
    difference: [theirs, row(KE, [], [[31]])],
  });
  expect(text(esp(row(ENCR, [[12, 256]], [[20, 256]])))).toBe(`no common ESP proposal with 198.51.100.77
encryption  they offer aes256  we allow aes256gcm16
to accept this peer, add aes256-sha256 to connections.rome.children.lan.esp (tungate.yaml:31)`);
  // When all else agrees it is the difference.
  expect(text(esp(row(ENCR, [[20, 256]], [[20, 256]])))).toContain("key exchange  they offer none");
});

test("transforms that nobody knows have words, and very long lists are cut", () => {
  const many = Array.from({ length: 40 }, (_, i): [number, number] => [1000 + i, 7]);
  const words = failureWords({ ...ikeMismatch, difference: [row(ENCR, many, [[20, 256]])] } as FailureNotice);
  expect(words[1]).toContain("encryption 1000 with 7 bits");
  expect(words[1]).toContain("and 28 more");
});

test("a suggestion can be configured as it stands, or there is none", () => {
  const ike = (...transforms: Transform[]) => suggestedProposal([proposal(1, ...transforms)], "ike");
  const base: Transform[] = [
    { type: PRF, id: 6 },
    { type: KE, id: 31 },
  ];
  expect(ike({ type: ENCR, id: 20, keyBits: 128 }, ...base)).toBe("aes128gcm16-prfsha384-x25519");
  expect(ike({ type: ENCR, id: 12, keyBits: 256 }, ...base)).toBeUndefined();
  expect(ike({ type: ENCR, id: 20, keyBits: 128, hasUnknownAttribute: true }, ...base)).toBeUndefined();
  expect(ike({ type: ENCR, id: 20, keyBits: 128 })).toBeUndefined();
});

test("a rejected proposal names what was sent and where it is configured", () => {
  expect(
    text({
      ...rome,
      code: "proposalRejectedByPeer",
      protocol: "ike",
      sent: [
        parseProposal("aes256gcm16-prfsha384-x25519", "ike"),
        parseProposal("aes256-sha256-modp2048", "ike"),
      ],
    }),
  ).toBe(`198.51.100.77 rejected our IKE proposal
they answered NO_PROPOSAL_CHOSEN to aes256gcm16-prfsha384-x25519
and to aes256-sha256-modp2048
write into connections.rome.ike.proposals (tungate.yaml:31) what is configured there; their log says what they allow`);
});

const ours = { local: [range("10.1.0.0/16")], remote: [range("10.2.0.0/16")] };

test("selectors: both sets, the side that differs, and the line to write", () => {
  expect(
    text({
      ...rome,
      child: "lan",
      code: "selectorsUnacceptable",
      role: "responder",
      ours,
      theirs: { local: [range("10.1.0.0/16")], remote: [range("10.9.0.0/16"), range("2001:db8::/32")] },
    }),
  ).toBe(`198.51.100.77 asks for networks that nothing here allows
they ask for 10.1.0.0/16 <-> 10.9.0.0/16, 2001:db8::/32
we allow     10.1.0.0/16 <-> 10.2.0.0/16
their side (remote): 10.9.0.0/16, 2001:db8::/32 and 10.2.0.0/16 have nothing in common
to accept this, write local: [10.1.0.0/16] and remote: [10.9.0.0/16, "2001:db8::/32"] into connections.rome.children.lan (tungate.yaml:31), or change the peer`);
});

test("selectors that the peer refused are given in its own view", () => {
  const words = text({ ...rome, child: "lan", code: "selectorsUnacceptable", role: "initiator", ours });
  expect(words).toContain("we asked for 10.1.0.0/16 <-> 10.2.0.0/16");
  expect(words).toContain("local 10.2.0.0/16, remote 10.1.0.0/16");
});

test("an identity that nobody expects comes with what to configure", () => {
  const words = text({
    ...rome,
    code: "identityMismatch",
    role: "responder",
    received: { idType: IdType.IPV4_ADDR, data: parseIpAddress("192.168.1.2")! },
    expected: [fqdn("gw-b.example.net")],
  });
  expect(words).toBe(`198.51.100.77 calls itself 192.168.1.2, and we expect gw-b.example.net
a peer that has no identity configured calls itself by its own address, also behind a NAT
if it is the right peer, write id: "192.168.1.2" into connections.rome.remote (tungate.yaml:31), or give it the expected identity`);
});

test("an identity cannot command a terminal or the reader's YAML", () => {
  const hostile = "a\u001b[2J\u202egnp.exe\n: [";
  const words = text({
    ...rome,
    code: "identityMismatch",
    role: "responder",
    received: fqdn(hostile),
    expected: [],
  });
  expect(words).not.toContain("\u001b");
  expect(words).not.toContain("\u202e");
  expect(words.split("\n")).toHaveLength(2);
  expect(words).toContain("\\u{1b}");
});

test("wrong key, other method and rejection by the peer are three different things", () => {
  const failed = { ...rome, role: "responder", expects: "psk", identity: fqdn("gw-b"), method: 2 } as const;
  const wrongKey = text({ ...failed, code: "authenticationFailed", cause: "wrongKey" });
  expect(wrongKey).toContain("the pre-shared key of 198.51.100.77 (gw-b) is not the one configured here");
  expect(wrongKey).toContain("connections.rome.psk (tungate.yaml:31)");
  expect(text({ ...failed, method: 14, code: "authenticationFailed", cause: "otherMethod" })).toContain(
    "proves its identity by a signature (RFC 7427), and we expect a pre-shared key",
  );
  const rejected = text({
    ...rome,
    code: "authenticationRejectedByPeer",
    by: "psk",
    sentIdentity: fqdn("gw-a"),
  });
  expect(rejected).toContain("did not accept us as gw-a");
  expect(rejected).toContain("connections.rome.local.id");
});

test("silence means different things at different times", () => {
  const silent = (exchange: "IKE_SA_INIT" | "IKE_AUTH" | "INFORMATIONAL") =>
    text({ connection: "rome", remote, code: "noAnswer", exchange, tries: 5 });
  expect(silent("IKE_SA_INIT")).toContain("UDP port 500");
  expect(silent("IKE_AUTH")).toContain("UDP port 4500");
  expect(silent("INFORMATIONAL")).toContain("no longer answers (5 tries)");
});

test("silence says what ICMP and the kernel said of the requests, and what that is worth", () => {
  const said = (unreachable: Partial<Unreachable> & Pick<Unreachable, "reason" | "by">) =>
    noticeWords(
      {
        connection: "rome",
        remote,
        code: "noAnswer",
        exchange: "IKE_SA_INIT",
        tries: 5,
        unreachable: { remote, count: 3, lastAt: Instant(0), before: DurationMs(2000), ...unreachable },
      },
      Instant(0),
    ).slice(2);
  const reporter = IpAddress(Uint8Array.of(192, 0, 2, 9));
  const hint = "a hint, no proof: such messages (ICMP) are easily forged";
  const times = "(3 times, the last 2 s before we gave up)";
  expect(said({ reason: "port", by: "peer" })).toEqual([
    `198.51.100.77 says that nobody listens on its UDP port 500 ${times}`,
    hint,
  ]);
  expect(said({ reason: "host", by: "router", reporter, count: 1 })).toEqual([
    "192.0.2.9, a router on the way, says that the host cannot be reached (once, 2 s before we gave up)",
    hint,
  ]);
  expect(said({ reason: "net", by: "router", reporter })[0]).toContain(
    "that it knows no way to that network",
  );
  expect(said({ reason: "port", by: "router", reporter })[0]).toContain(
    "that nobody listens on UDP port 500 of 198.51.100.77",
  );
  expect(said({ reason: "prohibited", by: "router", reporter })[0]).toContain(
    "that a firewall forbids messages to UDP port 500",
  );
  expect(said({ reason: "host", by: "host" })[0]).toContain("this host finds nobody at 198.51.100.77");
  // The kernel's own word is no hearsay.
  expect(said({ reason: "noRoute", by: "host" })).toEqual([
    `this host has no route to 198.51.100.77 ${times}`,
  ]);
  expect(said({ reason: "blocked", by: "host" })).toEqual([
    `a firewall or route of this host forbids messages to UDP port 500 of 198.51.100.77 ${times}`,
  ]);
});

test("an error notify comes with its usual meaning", () => {
  const answered = (notifyType: number) =>
    noticeWords({ ...rome, code: "errorFromPeer", exchange: "IKE_AUTH", notifyType }, Instant(0));
  expect(answered(NotifyType.FAILED_CP_REQUIRED)[1]).toContain("remote access");
  expect(answered(12345)).toEqual(["198.51.100.77 answered unknown (12345) to IKE_AUTH"]);
});

test("encapsulation that cannot be names who is behind the NAT", () => {
  const nat = (weAreBehind: boolean, peerIsBehind: boolean) => ({
    isSupported: true,
    isForced: false,
    weAreBehind,
    peerIsBehind,
  });
  const wanted = (situation: ReturnType<typeof nat>) =>
    text({ ...rome, code: "encapsulationImpossible", wanted: "esp", nat: situation });
  expect(wanted(nat(true, false))).toContain("we are behind a NAT");
  expect(wanted(nat(false, true))).toContain("198.51.100.77 is behind a NAT");
  expect(wanted(nat(true, true))).toContain("both of us are");
});

test("transport mode that cannot be says why, and which line to change", () => {
  const place = { file: "tungate.yaml", line: 12 };
  const words = (reason: TransportRefusal, role: "initiator" | "responder" = "initiator") =>
    text({ ...rome, child: "gre", code: "transportRefused", role, reason, place });
  expect(
    words("notConfirmed"),
  ).toBe(`198.51.100.77 did not agree to transport mode: it answered without USE_TRANSPORT_MODE
have transport mode switched on there, or set connections.rome.children.gre.mode (tungate.yaml:12) to tunnel`);
  expect(words("tunnelAsked")).toContain("198.51.100.77 asked for tunnel mode where we have transport mode");
  expect(words("otherHosts")).toContain("what was agreed names others");
  expect(words("otherHosts", "responder")).toContain("the child names others");
});

test("the other notices are one sentence that holds what matters", () => {
  const ikeSa = { initiatorSpi: ZERO_IKE_SPI, responderSpi: ZERO_IKE_SPI };
  const spis = { inboundSpi: Spi(0xc0ffee01), outboundSpi: Spi(0xc0ffee02) };
  const suite = { encr: 20, encrKeyBits: 256, integ: 0, prf: 6, ke: 31 };
  const esp = { encr: 12, encrKeyBits: 128, integ: 12, esn: true };
  const nat = { isSupported: true, isForced: false, weAreBehind: true, peerIsBehind: false };
  const about = { connection: "rome", remote };
  const at = Instant(41 * 60_000);
  const local = { address: parseIpAddress("192.0.2.1")!, port: 4500 };
  const cases: [IkeNotice, string][] = [
    [
      {
        ...about,
        code: "ikeSaUp",
        ikeSa,
        role: "initiator",
        local,
        suite,
        nat,
        peerIdentity: fqdn("gw-b"),
        proofs: {
          ours: { method: 2 },
          theirs: { method: 14, scheme: "rsa-pss sha256", certificate: "CN=b" },
        },
        rekeyAt: at,
      },
      "IKE SA with 198.51.100.77 (gw-b) is up, we are behind NAT: aes256gcm16-prfsha384-x25519, rekey in 41 min",
    ],
    [
      { ...about, code: "ikeSaDown", ikeSa, reason: "noAnswer" },
      "IKE SA with 198.51.100.77 is down: the peer no longer answers",
    ],
    [
      { ...about, code: "ikeSaRekeyed", old: ikeSa, ikeSa, role: "responder", suite, rekeyAt: at },
      "IKE SA with 198.51.100.77 rekeyed by the peer: aes256gcm16-prfsha384-x25519, next rekey in 41 min",
    ],
    [
      {
        ...about,
        child: "lan",
        code: "childSaUp",
        ikeSa,
        role: "initiator",
        spis,
        suite: esp,
        selectors: ours,
        encapsulation: "udp",
        rekeyAt: at,
        isNarrowed: false,
      },
      "10.1.0.0/16 <-> 10.2.0.0/16 is up: aes128-sha256-esn over UDP, rekey in 41 min",
    ],
    [
      { ...about, child: "lan", code: "childSaDown", ikeSa, spis, reason: "deletedByPeer" },
      "child SA c0ffee01 is down: the peer deleted it",
    ],
    [
      {
        ...about,
        child: "lan",
        code: "childSaRekeyed",
        ikeSa,
        role: "initiator",
        old: spis,
        spis,
        suite: esp,
        rekeyAt: at,
        changes: {},
      },
      "child SA rekeyed by us: aes128-sha256-esn, next rekey in 41 min",
    ],
    [
      { ...about, code: "retrying", at: Instant(18_000), attempt: 3 },
      "next try with 198.51.100.77 in 18 s (3 so far)",
    ],
    [{ ...about, code: "connecting", local, attempt: 1 }, "calling 198.51.100.77 from 192.0.2.1:4500"],
    [
      { remote, code: "droppedMessage", reason: "notAuthentic", total: 4 },
      "dropped an IKE message of 198.51.100.77: it is not authentic: damaged on the way, or forged (4 since the start)",
    ],
    [
      { code: "cookiesOn", halfOpen: 32 },
      "32 negotiations are half open; strangers have to prove their address from here on (cookies)",
    ],
    [
      { ...about, code: "rekeyPostponed", at: Instant(0) },
      "rekey with 198.51.100.77 did not succeed (the peer is busy); next try now, traffic goes on meanwhile",
    ],
    [
      { ...about, child: "lan", code: "softLimit", spis, limit: "octets" },
      "child SA c0ffee01 has reached its limit of data; it is rekeyed",
    ],
    [{ ...about, code: "natDetected", nat }, "198.51.100.77: we are behind NAT"],
    [
      { ...about, code: "peerMoved", from: remote, to: { ...remote, port: 1024 } },
      "their address or NAT mapping changed from 198.51.100.77:500 to 198.51.100.77:1024; the SAs follow",
    ],
    [
      { code: "peerSpeaksIkeV1", remote: { ...remote, port: 62000 } },
      "198.51.100.77 (port 62000) speaks IKEv1, which is not supported",
    ],
  ];
  for (const [notice, sentence] of cases) expect(noticeWords(notice, Instant(0))[0]).toBe(sentence);
});

test("the size of an unanswered message is told of where it may be the reason", () => {
  const silent = (size: { octets: number; largest: number; packets: number; isFragmentable: boolean }) =>
    text({ connection: "rome", remote, code: "noAnswer", exchange: "IKE_AUTH", tries: 8, size });
  expect(silent({ octets: 400, largest: 400, packets: 1, isFragmentable: false })).not.toContain("octets");
  const whole = silent({ octets: 3200, largest: 3200, packets: 1, isFragmentable: false });
  expect(whole).toContain("they answer small messages but not this one of 3200 octets");
  expect(whole).toContain("set connections.rome.ike.fragmentation to true");
  const cut = silent({ octets: 3300, largest: 576, packets: 6, isFragmentable: true });
  expect(cut).toContain("in 6 packets of up to 576");
  const size = { octets: 3300, largest: 1280, packets: 3, isFragmentable: true };
  expect(text({ ...rome, code: "answerNotHeard", exchangeType: 35, repeats: 3, size })).toContain(
    "asks IKE_AUTH again and again (3 times): our answer of 3300 octets seems to get lost",
  );
  expect(text({ ...rome, code: "fragmentsShrunk", from: 1280, to: 576 })).toContain(
    "IKE messages go in packets of at most 576",
  );
});

test("moves are told with both addresses and what to do about refusals", () => {
  const to = { ...remote, port: 4500 };
  const moved = (code: "ownAddressChanged" | "addressesUpdated", what: "own" | "peer" | "mapping" = "own") =>
    text({ ...rome, code, what, from: remote, to });
  expect(moved("ownAddressChanged")).toContain("changed from 198.51.100.77:500 to 198.51.100.77:4500");
  expect(moved("addressesUpdated")).toContain("no new keys were needed");
  expect(moved("ownAddressChanged", "peer")).toContain(
    "we call 198.51.100.77:4500 in place of 198.51.100.77:500",
  );
  expect(moved("addressesUpdated", "peer")).toContain("taken over from 198.51.100.77:500");
  expect(moved("addressesUpdated", "mapping")).toContain("a NAT on the way gave us another mapping");
  const refused = (notifyType: number) => text({ ...rome, code: "moveRefused", local: to, notifyType });
  expect(refused(40)).toContain("UNACCEPTABLE_ADDRESSES");
  expect(refused(41)).toContain("there is a NAT on the new way");
  expect(text({ ...rome, code: "moveNotAllowed", to })).toContain("connections.rome.remote.address");
  expect(text({ ...rome, code: "unexpectedNat", from: to })).toContain("allows no NAT");
  expect(text({ ...rome, code: "routabilityFailed" })).toContain("did not send our cookie back");
  expect(text({ ...rome, code: "peerAddresses", addresses: [remote.address] })).toContain("198.51.100.77");
  expect(text({ ...rome, code: "peerAddresses", addresses: [] })).toContain("no further addresses");
});
