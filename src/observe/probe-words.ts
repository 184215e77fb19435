/** What a probe has learnt, as the document that `tungate probe` prints. */
import { toHex } from "../base/bytes.ts";
import { formatIpAddress } from "../base/ip-address.ts";
import { formatEndpoint, type UdpEndpoint } from "../base/udp-endpoint.ts";
import type { Capabilities, Judged } from "../ike/probe/capabilities.ts";
import type { PeerFacts } from "../ike/probe/peer-facts.ts";
import type { Reply } from "../ike/probe/question.ts";
import { whoseWord } from "../ike/unreachable.ts";
import { formatSuite, suiteWarnings, transformKeyword } from "../policy/proposal-keyword.ts";
import type { ProposalSuite } from "../policy/proposal-suite.ts";
import { NotifyType, nameOf, TransformType } from "../wire/ike/registries.ts";
import { unreachableText } from "./unreachable-words.ts";
import { vendorName, vendorText } from "./vendor-words.ts";

export interface ProbeFacts {
  /** As the operator wrote it. */
  readonly host: string;
  readonly local: UdpEndpoint;
  readonly remote: UdpEndpoint;
  readonly capabilities: Capabilities;
  /** The name of the preset whose proposals were tried. */
  readonly preset?: string;
  readonly questions: number;
  readonly cookies: number;
  readonly isLeftAlone: boolean;
}

const SIGNATURE_HASH_NAMES: ReadonlyMap<number, string> = new Map([
  [1, "sha1"],
  [2, "sha256"],
  [3, "sha384"],
  [4, "sha512"],
  [5, "identity"],
]);

/** What no IKE_SA_INIT tells (RFC 7296 section 1.2). */
const LIMITS = [
  "identities, keys, certificates, child networks and ESP proposals are told in IKE_AUTH only",
  "nobody vouches for what IKE_SA_INIT says: whoever is on the way could have answered",
];

/** The shape of the control API's document; its schema lives in `control/`, a folder of the same rank. */
export function probeWords(facts: ProbeFacts) {
  const { capabilities, local, remote } = facts;
  const { chosen, isLegacy, peer, sets, nat } = capabilities;
  const address = formatIpAddress(remote.address);
  const answer = answerOf(capabilities);
  return {
    host: facts.host,
    address,
    port: remote.port,
    from: formatEndpoint(local),
    answer,
    summary: summaryOf(answer, address, facts),
    natPort:
      nat === undefined ? ("notAsked" as const) : isHeard(nat) ? ("answers" as const) : ("silent" as const),
    ...(peer?.nat.isSupported === true
      ? { nat: { weAreBehind: peer.nat.weAreBehind, peerIsBehind: peer.nat.peerIsBehind } }
      : {}),
    ...(chosen === undefined ? {} : { chosen: formatSuite(chosen) }),
    isLegacy,
    ...(sets === undefined
      ? {}
      : {
          sets: {
            encryption: keywords(sets.encr, ({ id, keyBits }) =>
              transformKeyword(TransformType.ENCR, id, keyBits),
            ),
            prf: keywords(sets.prf, (id) => transformKeyword(TransformType.PRF, id)),
            integrity: keywords(sets.integ, (id) => transformKeyword(TransformType.INTEG, id)),
            keyExchange: keywords(sets.ke, (id) => transformKeyword(TransformType.KE, id)),
            additionalKeyExchange: keywords(sets.additionalKe, (id) =>
              transformKeyword(TransformType.KE, id),
            ),
          },
        }),
    ...(peer === undefined ? {} : { features: featuresOf(peer) }),
    vendorIds: (peer?.vendorIds ?? []).map(vendorOf),
    ...(chosen === undefined ? {} : { suggestion: suggestionOf(chosen) }),
    configured: capabilities.configured.map(({ connection, reply }) => ({
      connection,
      ...configuredWords(reply),
    })),
    ...(facts.preset === undefined || !("preset" in capabilities)
      ? {}
      : { preset: { name: facts.preset, ...configuredWords(capabilities.preset) } }),
    questions: facts.questions,
    cookies: facts.cookies,
    isCutShort: facts.isLeftAlone,
    limits: LIMITS,
  };
}

type Answer = "ikev2" | "refuses" | "ikev1" | "silent" | "unclear";

function isHeard(reply: Reply | undefined): boolean {
  return reply !== undefined && reply.kind !== "silent";
}

function answerOf({ opening, version1, nat, chosen }: Capabilities): Answer {
  if (chosen !== undefined || opening?.kind === "otherMethod") return "ikev2";
  if (opening?.kind === "version1") return "ikev1";
  // Who speaks both refuses both.
  const isVersion1 = version1?.kind === "version1" && !(version1.isRefusal && isHeard(opening));
  if (isVersion1) return "ikev1";
  if (opening?.kind === "refused") return "refuses";
  return isHeard(opening) || isHeard(nat) ? "unclear" : "silent";
}

function summaryOf(answer: Answer, address: string, { capabilities, local, remote }: ProbeFacts): string {
  const { opening, nat } = capabilities;
  switch (answer) {
    case "ikev2":
      return `${address} speaks IKEv2`;
    case "ikev1":
      return `${address} speaks IKEv1 to us and no IKEv2; Tungate speaks IKEv2 alone, so have IKEv2 switched on there`;
    case "refuses":
      return `${address} speaks IKEv2 and refuses all that was offered; many peers do so to whoever they have no connection for: have them check the address that they expect us at`;
    case "unclear":
      return isHeard(opening)
        ? `${address} answers, but ${strangeText(opening)}`
        : `${address} does not answer on port ${remote.port}, but on port 4500 it does`;
    case "silent": {
      const said = opening?.kind === "silent" ? opening.unreachable : undefined;
      const why =
        said === undefined
          ? ""
          : `; ${unreachableText(whoseWord(said, local.address))} (a hint: such messages are easily forged)`;
      const also = nat === undefined ? "" : ", nor on port 4500";
      return `${address} does not answer on port ${remote.port}${also}${why}`;
    }
    default:
      return answer satisfies never;
  }
}

function strangeText(reply: Reply | undefined): string {
  if (reply?.kind === "error") return `with ${nameOf(NotifyType, reply.notifyType)}`;
  if (reply?.kind === "absurd")
    return reply.what === "choice"
      ? "it chose what nobody offered"
      : "it asks for one cookie after the other";
  return "not in a way that tells anything";
}

function keywords<Choice>({ accepted, refused, unclear }: Judged<Choice>, word: (choice: Choice) => string) {
  return { accepted: accepted.map(word), refused: refused.map(word), unclear: unclear.map(word) };
}

function featuresOf(peer: PeerFacts) {
  const { signatureHashes: hashes } = peer;
  return {
    natTraversal: peer.nat.isSupported,
    fragmentation: peer.hasFragmentation,
    intermediate: peer.hasIntermediate,
    childless: peer.hasChildless,
    ppk: peer.hasPpk,
    ...(hashes === undefined
      ? {}
      : { signatureHashes: hashes.map((id) => SIGNATURE_HASH_NAMES.get(id) ?? `hash ${id}`) }),
    asksForCertificate: peer.asksForCertificate,
    authorities: peer.authorities.map(toHex),
  };
}

function vendorOf(id: Uint8Array) {
  const name = vendorName(id);
  return { octets: toHex(id), text: vendorText(id), ...(name === undefined ? {} : { name }) };
}

function suggestionOf(chosen: ProposalSuite) {
  return { proposal: formatSuite(chosen), warnings: [...suiteWarnings(chosen)] };
}

function configuredWords(reply: Reply | undefined) {
  switch (reply?.kind) {
    case "otherMethod": {
      const method = transformKeyword(TransformType.KE, reply.method);
      return { verdict: "accepted" as const, text: `its proposals are accepted, with ${method}` };
    }
    case "chosen":
      return { verdict: "accepted" as const, text: "its proposals are accepted" };
    case "refused":
      return { verdict: "refused" as const, text: "none of its proposals is accepted" };
    default:
      return { verdict: "unclear" as const, text: "whether its proposals are accepted is not clear" };
  }
}
