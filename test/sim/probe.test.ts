/** The interviews of `tungate probe` and `doctor` with simulated peers: what is found, what it costs them, and what hostile ones achieve. */
import { describe, expect, test } from "vitest";
import { concat, fromHex, utf8 } from "../../src/base/bytes.ts";
import { ikeProposalsOf, presetNamed } from "../../src/config/preset.ts";
import { probeDocument } from "../../src/control/probe-schema.ts";
import { notify } from "../../src/ike/exchange/payload-list.ts";
import {
  type Capabilities,
  type CapabilityOptions,
  interviewCapabilities,
} from "../../src/ike/probe/capabilities.ts";
import type { InterviewEvent, OutgoingQuestion } from "../../src/ike/probe/interviewer.ts";
import {
  DATAGRAMS_MAX,
  FULL_ANSWERS_MAX,
  QUESTION_PAUSE,
  QUESTIONS_MAX,
} from "../../src/ike/probe/limits.ts";
import { interviewReach } from "../../src/ike/probe/reach.ts";
import { probeWords } from "../../src/observe/probe-words.ts";
import { parseProposal } from "../../src/policy/proposal-keyword.ts";
import { decodeHeader } from "../../src/wire/ike/header.ts";
import { decodeMessage } from "../../src/wire/ike/message.ts";
import { NotifyType, TransformType } from "../../src/wire/ike/registries.ts";
import { seededRandom } from "./ike-random.ts";
import {
  fullAnswer,
  type Held,
  hold,
  LOCAL,
  offerOf,
  peerWith,
  REMOTE,
  response,
  type SimulatedPeer,
  type Suite,
  through,
} from "./probe-peer.ts";

const { ENCR, PRF, INTEG, KE, ADDKE1 } = TransformType;
const GCM: Suite = [
  [ENCR, 20, 256],
  [PRF, 6],
  [KE, 31],
];
const CBC: Suite = [
  [ENCR, 12, 128],
  [PRF, 5],
  [INTEG, 12],
  [KE, 14],
  [KE, 19],
];
const LEGACY: Suite = [
  [ENCR, 3],
  [PRF, 2],
  [INTEG, 2],
  [KE, 2],
];
const TAKES_EVERYTHING_TWICE = 2;

const nobody: CapabilityOptions = { configured: [] };
const ask = (peer: SimulatedPeer, options = nobody) => hold(interviewCapabilities(options), through(peer));
const documentOf = ({ value, counts }: Held<Capabilities>, preset = {}) =>
  probeDocument.parse(
    probeWords({
      ...preset,
      host: "peer.test",
      local: LOCAL,
      remote: REMOTE,
      capabilities: value,
      questions: counts.questions,
      cookies: counts.cookies,
      isLeftAlone: counts.isLeftAlone,
    }),
  );

describe("what a peer accepts", () => {
  test("one suite: found, suggested, and one half-open IKE SA is all that it costs", () => {
    const peer = peerWith({ suites: [GCM] });
    const held = ask(peer);
    expect(documentOf(held)).toMatchObject({
      answer: "ikev2",
      natPort: "answers",
      nat: { weAreBehind: false, peerIsBehind: false },
      suggestion: { proposal: "aes256gcm16-prfsha384-x25519", warnings: [] },
      sets: {
        encryption: { accepted: ["aes256gcm16"], unclear: [] },
        prf: { accepted: ["prfsha384"], unclear: [] },
        integrity: { accepted: [], refused: [], unclear: [] },
        keyExchange: { accepted: ["x25519"], unclear: [] },
      },
      isCutShort: false,
    });
    expect(peer.halfOpen).toBe(1);
    expect(held.counts.questions).toBeLessThan(30);
  });

  test("two suites: the sets of both, methods in the peer's order", () => {
    const { sets } = documentOf(ask(peerWith({ suites: [CBC, GCM] })));
    expect(sets?.encryption.accepted).toEqual(["aes256gcm16", "aes128"]);
    expect(sets?.integrity.accepted).toEqual(["sha256"]);
    expect(sets?.prf.accepted).toEqual(["prfsha384", "prfsha256"]);
    expect(sets?.keyExchange.accepted).toEqual(["modp2048", "ecp256", "x25519"]);
  });

  test("weak suites alone: said so", () => {
    const document = documentOf(ask(peerWith({ suites: [LEGACY] })));
    expect(document).toMatchObject({ isLegacy: true, chosen: "3des-sha1-modp1024" });
    expect(document.suggestion?.warnings).toHaveLength(2);
  });

  test("additional key exchanges are asked for where the peer says IKE_INTERMEDIATE", () => {
    const suites: Suite[] = [[...GCM, [ADDKE1, 36]], GCM];
    const extra = [notify(NotifyType.INTERMEDIATE_EXCHANGE_SUPPORTED)];
    expect(documentOf(ask(peerWith({ suites, extra }))).sets?.additionalKeyExchange.accepted).toEqual([
      "mlkem768",
    ]);
    expect(ask(peerWith({ suites })).value.sets?.additionalKe.accepted).toEqual([]);
  });

  test("the proposals of a connection are tried as they are", () => {
    const configured = [
      { connection: "yes", proposals: [parseProposal("aes256gcm16-prfsha384-x25519", "ike")] },
      { connection: "no", proposals: [parseProposal("aes128gcm16-prfsha256-ecp256", "ike")] },
    ];
    expect(documentOf(ask(peerWith({ suites: [GCM] }), { configured })).configured).toEqual([
      { connection: "yes", verdict: "accepted", text: "its proposals are accepted, with x25519" },
      { connection: "no", verdict: "refused", text: "none of its proposals is accepted" },
    ]);
  });

  test("what a preset offers is tried as well, and nothing is said of it where nobody answers", () => {
    const judged = (name: string, peer: SimulatedPeer) => {
      const preset = ikeProposalsOf(presetNamed(name));
      return documentOf(ask(peer, { configured: [], preset }), { preset: name }).preset;
    };
    const fortigate = judged("fortigate", peerWith({ suites: [CBC] }));
    expect(fortigate).toEqual({
      name: "fortigate",
      verdict: "accepted",
      text: "its proposals are accepted, with modp2048",
    });
    expect(judged("aws", peerWith({ suites: [CBC] }))).toMatchObject({ name: "aws", verdict: "refused" });
    // It has no proposals of its own: those of a connection without a preset count.
    expect(judged("strongswan", peerWith({ suites: [GCM] }))).toMatchObject({ verdict: "accepted" });
    expect(judged("aws", peerWith({ suites: [] }))).toBeUndefined();
    expect(documentOf(ask(peerWith({ suites: [CBC] })))).not.toHaveProperty("preset");
  });

  test("what else it says: notifies, CAs, vendor IDs, in words that command no terminal", () => {
    const extra = [
      notify(NotifyType.IKEV2_FRAGMENTATION_SUPPORTED),
      notify(NotifyType.CHILDLESS_IKEV2_SUPPORTED),
      notify(NotifyType.SIGNATURE_HASH_ALGORITHMS, Uint8Array.of(0, 2, 0, 5, 0, 99)),
      { kind: "CERTREQ", encoding: 4, data: new Uint8Array(43).fill(1) } as const,
      { kind: "V", data: fromHex("882fe56d6fd20dbc2251613b2ebe5beb") } as const,
      { kind: "V", data: utf8("evil\u001b[2J\n") } as const,
      ...Array.from({ length: 40 }, () => ({ kind: "V", data: new Uint8Array(200) }) as const),
    ];
    const document = documentOf(ask(peerWith({ suites: [GCM], extra })));
    expect(document.features).toMatchObject({
      fragmentation: true,
      childless: true,
      ppk: false,
      signatureHashes: ["sha256", "identity", "hash 99"],
      authorities: ["01".repeat(20), "01".repeat(20)],
    });
    expect(document.vendorIds.slice(0, 2).map(({ name, text }) => name ?? text)).toEqual([
      "strongSwan",
      "6576696c1b5b324a0a",
    ]);
    expect(document.vendorIds).toHaveLength(16);
    expect(document.vendorIds.every(({ octets }) => octets.length <= 256)).toBe(true);
  });

  test("a NAT on our side shows", () => {
    const peer = peerWith({ suites: [GCM], seesUsAt: { ...LOCAL, port: 1024 } });
    expect(documentOf(ask(peer)).nat).toEqual({ weAreBehind: true, peerIsBehind: false });
  });
});

describe("peers that do not take part", () => {
  test("a silent host is asked on both ports and by IKEv1, a few times each, and that is all", () => {
    const held = hold(interviewCapabilities(nobody), () => []);
    expect(documentOf(held)).toMatchObject({ answer: "silent", natPort: "silent", isCutShort: false });
    expect(held.sent.map(({ datagram }) => datagram.remote.port)).toEqual([
      500, 500, 500, 4500, 4500, 500, 500,
    ]);
    expect(decodeHeader(held.sent.at(-1)!.datagram.bytes).majorVersion).toBe(1);
    expect(held.endedAt).toBeLessThan(20_000);
  });

  test("ICMP is repeated as the hint that it is, and ends nothing", () => {
    const held = hold(interviewCapabilities(nobody), ({ remote }) => [
      {
        after: 1,
        event: {
          kind: "unreachable",
          report: { reason: "port", remote, reporter: remote.address, quoted: new Uint8Array(0) },
        },
      },
    ]);
    expect(documentOf(held).summary).toContain(
      "198.51.100.2 says that nobody listens on its UDP port 500 (a hint: such messages are easily forged)",
    );
    expect(held.sent).toHaveLength(7);
  });

  test("an IKEv1 responder: by its answer to IKEv2, and by its answer to IKEv1", () => {
    const version1 = (exchange: number, next: number) => ({
      kind: "version1",
      octets: (request: Uint8Array) => {
        const answer = request.slice(0, 28);
        answer[16] = next;
        answer[17] = 0x10;
        answer[18] = exchange;
        return answer;
      },
    });
    const from = (octets: (request: Uint8Array) => Uint8Array, isForVersion: number) =>
      hold(interviewCapabilities(nobody), ({ remote, bytes }) =>
        remote.port === 500 && decodeHeader(bytes).majorVersion === isForVersion
          ? [{ after: 5, event: { kind: "datagram", remote, bytes: octets(bytes) } }]
          : [],
      );
    // INVALID-MAJOR-VERSION as an informational exchange; and a choice in main mode from one that is silent to IKEv2.
    expect(documentOf(from(version1(5, 11).octets, 2)).answer).toBe("ikev1");
    expect(documentOf(from(version1(2, 1).octets, 1)).answer).toBe("ikev1");
    expect(documentOf(from(version1(4, 4).octets, 1)).answer).toBe("silent");
  });

  test("one that refuses everything", () => {
    const held = ask(peerWith({ suites: [] }));
    expect(documentOf(held)).toMatchObject({ answer: "refuses", configured: [] });
    expect(held.counts.questions).toBe(3);
  });

  test("one that falls silent is left alone after two questions", () => {
    const peer = peerWith({ suites: [GCM] });
    let left = 8;
    const held = hold(interviewCapabilities(nobody), (datagram) =>
      left-- > 0 ? through(peer)(datagram) : [],
    );
    expect(held.sent).toHaveLength(8 + 2 * 3);
    const document = documentOf(held);
    expect(document).toMatchObject({ answer: "ikev2", isCutShort: true });
    expect(document.sets?.encryption.unclear.length).toBeGreaterThan(0);
    expect(document.suggestion).toBeDefined();
  });
});

describe("hostile answers", () => {
  const datagram = (remote: OutgoingQuestion["remote"], bytes: Uint8Array, after = 5) => ({
    after,
    event: { kind: "datagram", remote, bytes } as InterviewEvent,
  });
  const plain = (change: (request: ReturnType<typeof decodeMessage>) => readonly Uint8Array[]) =>
    hold(interviewCapabilities(nobody), ({ remote, bytes }) => {
      if (remote.port !== 500 || decodeHeader(bytes).majorVersion !== 2) return [];
      return change(decodeMessage(bytes)).map((octets) => datagram(remote, octets));
    });

  test("what was not offered, several choices, or one of two keys is no choice", () => {
    const offered = (request: ReturnType<typeof decodeMessage>) => offerOf(request)[0]!;
    const choices = [
      [
        { type: ENCR, id: 20, keyBits: 512 },
        { type: PRF, id: 6 },
        { type: KE, id: 31 },
      ],
      [
        { type: ENCR, id: 20, keyBits: 256 },
        { type: PRF, id: 6 },
      ],
      [
        { type: ENCR, id: 20, keyBits: 256 },
        { type: ENCR, id: 20, keyBits: 128 },
        { type: KE, id: 31 },
      ],
    ];
    for (const transforms of choices) {
      const held = plain((request) => {
        const chosen = { ...offered(request), transforms };
        const withKe = transforms.some(({ type }) => type === KE);
        const full = fullAnswer(
          request,
          withKe ? chosen : { ...chosen, transforms: [...transforms, { type: KE, id: 77 }] },
          500,
        );
        return [full];
      });
      expect(documentOf(held)).toMatchObject({ answer: "unclear" });
      expect(held.value.chosen).toBeUndefined();
    }
  });

  test("a cookie after the other is followed twice", () => {
    let count = 0;
    const held = plain((request) => [
      response(request, [notify(NotifyType.COOKIE, Uint8Array.of(++count >> 8, count))]),
    ]);
    expect(documentOf(held)).toMatchObject({ answer: "unclear" });
    expect(held.counts.cookies / held.counts.questions).toBeLessThanOrEqual(TAKES_EVERYTHING_TWICE);
    expect(held.sent.length).toBeLessThan(4 * QUESTIONS_MAX);
  });

  test("methods that were not offered, or change with each question, lead nowhere and end", () => {
    for (const method of [() => 77, (n: number) => (n % 40) + 1]) {
      let n = 0;
      const held = plain((request) => {
        const wanted = method(n++);
        return [response(request, [notify(NotifyType.INVALID_KE_PAYLOAD, Uint8Array.of(0, wanted))])];
      });
      expect(held.counts.questions).toBeLessThanOrEqual(QUESTIONS_MAX);
      expect(held.value.sets).toBeUndefined();
    }
  });

  /** Chooses with whatever method the request has a value for, our decoy among them. */
  const takesAll = (isImpossibleToo: boolean) => {
    const peer = { fullAnswers: 0 };
    const held = plain((request) => {
      const offer = offerOf(request)[0]!;
      const isImpossible = offer.transforms.some(({ type, id }) => type === ENCR && id === 1);
      if (isImpossible && !isImpossibleToo)
        return [response(request, [notify(NotifyType.NO_PROPOSAL_CHOSEN)])];
      const ke = request.payloads.find((payload) => payload.kind === "KE")!;
      const types = [...new Set(offer.transforms.map(({ type }) => type))];
      const transforms = types.map(
        (type) =>
          (type === KE && offer.transforms.find((one) => one.type === KE && one.id === ke.method)) ||
          offer.transforms.find((one) => one.type === type)!,
      );
      peer.fullAnswers++;
      return [fullAnswer(request, { ...offer, transforms }, 500)];
    });
    return { ...peer, held };
  };

  test("one that takes what nobody has is not asked for what it cannot tell", () => {
    const { held } = takesAll(true);
    expect(held.value.sets).toBeUndefined();
    expect(documentOf(held).answer).toBe("ikev2");
  });

  test("one that takes every method keeps few IKE SAs: it is left alone after three full answers", () => {
    const { held, fullAnswers } = takesAll(false);
    expect(fullAnswers).toBe(FULL_ANSWERS_MAX);
    expect(documentOf(held)).toMatchObject({ answer: "ikev2", isCutShort: true });
  });

  test("answers of others, of other questions, broken ones and floods are passed over", () => {
    const peer = peerWith({ suites: [GCM] });
    const random = seededRandom(3);
    const held = hold(interviewCapabilities(nobody), (sent) => {
      const { remote } = sent;
      const right = through(peer)(sent);
      const [first] = right;
      if (first?.event.kind !== "datagram") return right;
      const octets = first.event.bytes;
      const elsewhere = { ...remote, port: remote.port + 1 };
      const wrongSpi = octets.slice();
      wrongSpi[remote.port === 4500 ? 4 : 0]! ^= 1;
      return [
        datagram(elsewhere, octets, 1),
        datagram(remote, wrongSpi, 2),
        datagram(remote, octets.subarray(0, 30), 3),
        datagram(remote, new Uint8Array(0), 4),
        datagram(remote, concat(octets, random.publicBytes(20_000)), 5),
        ...right,
        datagram(remote, octets, 30),
      ];
    });
    expect(held.value.sets?.encr.accepted).toEqual([{ id: 20, keyBits: 256 }]);

    // Of a flood so many are looked at, whatever comes behind them.
    const behind = (count: number) =>
      hold(interviewReach({ linkMtu: 1500 }), (sent) => [
        ...Array.from({ length: count }, () => datagram(sent.remote, sent.bytes.slice(0, 28), 1)),
        ...through(peer, () => 2)(sent),
      ]).value.ike?.kind;
    expect(behind(DATAGRAMS_MAX - 1)).toBe("otherMethod");
    expect(behind(DATAGRAMS_MAX)).toBe("silent");
  });

  test("random octets in valid answers end in some document, whatever the seed", () => {
    for (let seed = 1; seed <= Number(process.env["PROBE_SEEDS"] ?? 60); seed++) {
      const random = seededRandom(seed);
      const peer = peerWith({ suites: [GCM, CBC] });
      const answer = through(peer, () => random.below(1500));
      const held = hold(
        interviewCapabilities(nobody),
        (sent) =>
          answer(sent)
            .filter(() => !random.chance(0.15))
            .map(({ after, event }) => {
              if (event.kind !== "datagram" || !random.chance(0.3)) return { after, event };
              const bytes = event.bytes.slice();
              bytes[random.below(bytes.length)] = random.below(256);
              return { after, event: { ...event, bytes } };
            }),
        seed,
      );
      expect(documentOf(held).questions, `seed ${seed}`).toBeLessThanOrEqual(QUESTIONS_MAX);
      expect(peer.halfOpen, `seed ${seed}`).toBeLessThanOrEqual(3 * FULL_ANSWERS_MAX);
    }
  });
});

test("questions keep their distance, have SPIs and nonces of their own, and repetitions the same octets", () => {
  const { sent } = hold(interviewCapabilities(nobody), (one) => through(peerWith({ suites: [GCM] }))(one));
  const spis = new Set(
    sent.map(({ datagram: { bytes, remote } }) =>
      bytes
        .subarray(remote.port === 4500 ? 4 : 0)
        .subarray(0, 8)
        .join(),
    ),
  );
  expect(spis.size).toBe(sent.length);
  for (const [i, { at }] of sent.entries())
    if (i > 0) expect(at - sent[i - 1]!.at).toBeGreaterThanOrEqual(QUESTION_PAUSE);
  const silent = hold(interviewReach({ linkMtu: 1500 }), () => []).sent;
  expect(silent[1]?.datagram.bytes).toEqual(silent[0]?.datagram.bytes);
});

describe("the short interview", () => {
  test("both ports answer, and packets of both sizes arrive", () => {
    const peer = peerWith({ suites: [GCM] });
    const { value, sent } = hold(interviewReach({ linkMtu: 1500 }), through(peer));
    expect(value).toMatchObject({
      ike: { kind: "otherMethod" },
      nat: { kind: "otherMethod" },
      whole: { packetOctets: 1500, reply: { kind: "otherMethod" } },
      fragments: { packetOctets: 1900, reply: { kind: "otherMethod" } },
    });
    expect(
      sent.map(({ datagram: { bytes, dontFragment } }) => [
        bytes.length > 1400 ? bytes.length : 0,
        dontFragment,
      ]),
    ).toEqual([
      [0, false],
      [0, false],
      [1500 - 28, true],
      [1900 - 28, false],
    ]);
    expect(peer.halfOpen).toBe(0);
  });

  test("large packets that get lost are told from a peer that is gone", () => {
    const peer = peerWith({ suites: [] });
    const { value } = hold(interviewReach({ linkMtu: 1500 }), (one) =>
      one.bytes.length > 1400 || one.remote.port === 4500 ? [] : through(peer)(one),
    );
    expect(value).toMatchObject({
      ike: { kind: "refused" },
      nat: { kind: "silent" },
      whole: { reply: { kind: "silent" } },
      fragments: { reply: { kind: "silent" } },
    });
    expect(hold(interviewReach({ linkMtu: 1500 }), () => []).value.whole).toBeUndefined();
  });
});
