/** The document of a probe on one screen. */
import type { ProbeDocument } from "../control/probe-schema.ts";

const INDENT = "  ";

/** Lines without line ends; what the peer said is escaped already. */
export function probeLines(probe: ProbeDocument): string[] {
  const lines = [probe.summary, ...featureLines(probe), ...setLines(probe)];
  if (probe.suggestion !== undefined) {
    const { proposal, warnings } = probe.suggestion;
    lines.push("", `for ike.proposals:  ${proposal}`, ...warnings.map((text) => `${INDENT}${text}`));
  }
  for (const { connection, text, verdict } of probe.configured) {
    const advice =
      verdict === "refused" && probe.suggestion !== undefined
        ? `; add ${probe.suggestion.proposal} to connections.${connection}.ike.proposals`
        : "";
    lines.push("", `${connection}: ${text}${advice}`);
  }
  if (probe.preset !== undefined) {
    const { name, text, verdict } = probe.preset;
    const advice =
      verdict === "refused" && probe.suggestion !== undefined
        ? `; beside the preset write ike: { proposals: [${probe.suggestion.proposal}] }`
        : "";
    lines.push("", `preset ${name}: ${text}${advice}`);
  }
  const cookies = probe.cookies === 0 ? "" : `, ${probe.cookies} cookies`;
  const cut = probe.isCutShort ? "; then the peer was left alone, so that some of it is not known" : "";
  lines.push("", `${probe.questions} questions from ${probe.from}${cookies}${cut}`);
  if (probe.answer === "ikev2") lines.push(...probe.limits.map((text) => `not told: ${text}`));
  return lines;
}

function featureLines({
  features,
  nat,
  natPort,
  vendorIds,
  chosen,
  isLegacy,
  port,
}: ProbeDocument): string[] {
  const rows: (readonly [string, string])[] = [];
  if (port !== 4500 && natPort !== "notAsked")
    rows.push([
      "port 4500",
      natPort === "answers"
        ? "answers"
        : "silent; without it no tunnel passes a NAT, and none with encapsulation udp comes up",
    ]);
  if (nat !== undefined) rows.push(["NAT", natText(nat)]);
  if (chosen !== undefined)
    rows.push(["it chooses", isLegacy ? `${chosen}, for it refused all that is better` : chosen]);
  if (features !== undefined) {
    rows.push(["it can", canText(features)]);
    if (features.asksForCertificate)
      rows.push(["certificates", `it asks for one of ${features.authorities.length} CAs`]);
  }
  for (const { name, text } of vendorIds)
    rows.push(["vendor", name === undefined ? text : `${name} (${text})`]);
  return table(rows);
}

function natText({ weAreBehind, peerIsBehind }: NonNullable<ProbeDocument["nat"]>): string {
  if (weAreBehind && peerIsBehind) return "at both ends, or the peer forces UDP encapsulation";
  if (weAreBehind) return "our address is translated on the way";
  return peerIsBehind ? "the peer's address is translated, or it forces UDP encapsulation" : "none";
}

function canText(features: NonNullable<ProbeDocument["features"]>): string {
  const names = {
    natTraversal: "NAT traversal",
    fragmentation: "fragments of messages",
    intermediate: "IKE_INTERMEDIATE",
    childless: "IKE SAs without a child",
    ppk: "postquantum preshared keys",
  } as const;
  const known: string[] = (Object.keys(names) as (keyof typeof names)[])
    .filter((key) => features[key])
    .map((key) => names[key]);
  const hashes = features.signatureHashes;
  if (hashes !== undefined) known.push(`signatures over ${hashes.join(", ")}`);
  return known.length === 0 ? "nothing beyond RFC 7296" : known.join(", ");
}

const SET_NAMES = {
  encryption: "encryption",
  prf: "prf",
  integrity: "integrity",
  keyExchange: "key exchange",
  additionalKeyExchange: "additional",
} as const;

function setLines({ sets, answer }: ProbeDocument): string[] {
  if (sets === undefined)
    return answer === "ikev2"
      ? [
          "",
          "what else it accepts cannot be told: it does not refuse what nobody has, or was not asked any more",
        ]
      : [];
  const rows = (Object.keys(SET_NAMES) as (keyof typeof SET_NAMES)[]).flatMap((key) => {
    const { accepted, unclear } = sets[key];
    if (accepted.length + unclear.length === 0) return [];
    const open =
      unclear.length === 0 ? "" : `${accepted.length === 0 ? "" : "; "}not known: ${unclear.join(", ")}`;
    return [[SET_NAMES[key], `${accepted.join(", ")}${open}`] as const];
  });
  return ["", "it accepts, of each kind with some of the others:", ...table(rows)];
}

function table(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(0, ...rows.map(([name]) => name.length));
  return rows.map(([name, text]) => `${INDENT}${name.padEnd(width)}  ${text}`);
}
