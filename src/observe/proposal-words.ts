/** A negotiation without common ground as a table, and the proposal that would have made one. */
import type { Concerning, ProposalMismatch, TransformChoice, TransformDifference } from "../ike/notice.ts";
import {
  formatSuite,
  isAdvisable,
  isCombinedMode,
  ProposalError,
  parseProposal,
  type SuiteProtocol,
  transformKeyword,
} from "../policy/proposal-keyword.ts";
import type { ProposalSuite } from "../policy/proposal-suite.ts";
import type { Proposal, Transform } from "../wire/ike/payload.ts";
import {
  additionalKeyExchange,
  KeyExchangeMethod,
  ProtocolId,
  TransformType,
} from "../wire/ike/registries.ts";
import { atPlace, configuredName } from "./place-words.ts";

const ROW_NAMES: ReadonlyMap<number, string> = new Map([
  [TransformType.ENCR, "encryption"],
  [TransformType.INTEG, "integrity"],
  [TransformType.PRF, "prf"],
  [TransformType.KE, "key exchange"],
  [TransformType.ESN, "sequence numbers"],
]);
/** Transforms of a stranger that are named in one cell. */
const CELL_TRANSFORMS_MAX = 12;
/** Proposals of a stranger that are tried for a suggestion. */
const PROPOSALS_TRIED_MAX = 32;

/** One line per transform type that matters, then the line that would settle it. */
export function mismatchLines(notice: Concerning & ProposalMismatch): string[] {
  const { received, protocol, connection, child, place } = notice;
  if (received.length === 0 || !received.every((one) => isOfOther(one, protocol)))
    return [...tableLines(notice), ...adviceLines(notice)];
  const other = protocol === "ah" ? "esp" : "ah";
  const [theirs, ours] = [other.toUpperCase(), protocol.toUpperCase()];
  const suggestion = suggestedProposal(received, other);
  const advice = `have them offer ${ours}`;
  return [
    `they offer ${theirs}, we allow ${ours}`,
    suggestion === undefined || connection === undefined
      ? advice
      : `${advice}, or write ${other}: [${suggestion}] in place of ${protocol} into ${childKey(connection, child)}${atPlace(place)}`,
  ];
}

/** ESP where the child is of AH, or the other way round. */
function isOfOther({ protocolId }: Proposal, protocol: SuiteProtocol): boolean {
  if (protocol === "ike") return false;
  return protocolId === (protocol === "ah" ? ProtocolId.ESP : ProtocolId.AH);
}

function tableLines({ difference, protocol }: ProposalMismatch): string[] {
  const encr = difference.find(({ type }) => type === TransformType.ENCR);
  const rows = difference
    .filter((row) => !isSilent(row, difference, protocol))
    .map((row) => {
      const name = rowName(row.type);
      return { name, ...cells(row, encr) };
    });
  const nameWidth = Math.max(0, ...rows.map(({ name }) => name.length));
  const theirWidth = Math.max(0, ...rows.map(({ theirs }) => theirs.length));
  return rows.map(({ name, theirs, ours }) =>
    `${name.padEnd(nameWidth)}  ${ours === "" ? theirs : theirs.padEnd(theirWidth)}  ${ours}`.trimEnd(),
  );
}

function rowName(type: number): string {
  const additional = additionalKeyExchange(type);
  if (additional !== undefined) return `additional key exchange ${additional}`;
  return ROW_NAMES.get(type) ?? `transform type ${type}`;
}

/** Rows that say nothing: both sides have none; or the key exchange of a child's first negotiation, which has none. */
function isSilent(
  row: TransformDifference,
  all: readonly TransformDifference[],
  protocol: SuiteProtocol,
): boolean {
  if (row.theirs.length === 0 && row.ours.length === 0) return true;
  if (protocol === "ike" || row.type !== TransformType.KE) return false;
  if (row.common.length > 0) return row.common.every(({ id }) => id === KeyExchangeMethod.NONE);
  if (row.theirs.length > 0) return false;
  const isAllowed = row.ours.some(({ id }) => id === KeyExchangeMethod.NONE);
  return (
    isAllowed || all.some((other) => other !== row && other.common.length === 0 && other.theirs.length > 0)
  );
}

function cells(
  row: TransformDifference,
  encr: TransformDifference | undefined,
): { theirs: string; ours: string } {
  if (row.common.length > 0) return { theirs: `both have ${words(row.type, row.common)}`, ours: "" };
  const theirs = row.theirs.length === 0 ? "they offer none" : `they offer ${words(row.type, row.theirs)}`;
  if (row.ours.length > 0) return { theirs, ours: `we allow ${words(row.type, row.ours)}` };
  const isNeedless = row.type === TransformType.INTEG && encr?.ours.some(({ id }) => isCombinedMode(id));
  const cipher = encr?.ours[0];
  if (isNeedless === true && cipher !== undefined)
    return {
      theirs,
      ours: `none is needed with ${transformKeyword(TransformType.ENCR, cipher.id, cipher.keyBits)}`,
    };
  return { theirs, ours: "we allow none" };
}

function words(type: number, choices: readonly TransformChoice[]): string {
  const shown = choices
    .slice(0, CELL_TRANSFORMS_MAX)
    .map(({ id, keyBits }) => transformKeyword(type, id, keyBits));
  const rest = choices.length - shown.length;
  return `${shown.join(", ")}${rest > 0 ? ` and ${rest} more` : ""}`;
}

function adviceLines({
  protocol,
  received,
  configured,
  connection,
  child,
  place,
}: Concerning & ProposalMismatch): string[] {
  const suggestion = suggestedProposal(received, protocol);
  if (suggestion === undefined) {
    const ours = configured[0];
    if (received.length === 0 || ours === undefined) return [];
    return [`nothing that they offer is supported here; have them add ${formatSuite(simplest(ours))}`];
  }
  if (connection === undefined) return [`to accept this peer, a connection has to allow ${suggestion}`];
  const key = proposalsKey(protocol, connection, child);
  return [`to accept this peer, add ${suggestion} to ${key}${atPlace(place)}`];
}

/** `connections.rome.ike.proposals`; instances (`rome#2`) share the key of their connection. */
export function proposalsKey(protocol: SuiteProtocol, connection: string, child: string | undefined): string {
  if (protocol === "ike") return `connections.${configuredName(connection)}.ike.proposals`;
  return `${childKey(connection, child)}.${protocol}`;
}

function childKey(connection: string, child: string | undefined): string {
  return `connections.${configuredName(connection)}.children.${child ?? "NAME"}`;
}

/** The first proposal of the peer that we could use, in keywords; `undefined` when there is none. */
export function suggestedProposal(
  received: readonly Proposal[],
  protocol: SuiteProtocol,
): string | undefined {
  for (const proposal of received.slice(0, PROPOSALS_TRIED_MAX)) {
    if (isOfOther(proposal, protocol)) continue;
    const suite = usableSuite(proposal, protocol);
    if (suite === undefined) continue;
    const text = formatSuite(suite);
    try {
      parseProposal(text, protocol);
      return text;
    } catch (error) {
      if (!(error instanceof ProposalError)) throw error;
    }
  }
  return undefined;
}

function usableSuite({ transforms }: Proposal, protocol: SuiteProtocol): ProposalSuite | undefined {
  const usable = (type: number) =>
    transforms
      .filter((one) => one.type === type && one.hasUnknownAttribute !== true)
      .map(({ id, keyBits }) => ({ id, keyBits: keyBits ?? 0 }))
      .filter(({ id, keyBits }) => isAdvisable(type, id, keyBits));
  const integ = usable(TransformType.INTEG);
  const ke = usable(TransformType.KE)[0];
  const prf = usable(TransformType.PRF)[0];
  // Both kinds of sequence numbers: the words for them are left out.
  const additional = ke === undefined ? {} : additionalKeOf(transforms);
  const ofChild = { prf: [], ke: [ke?.id ?? KeyExchangeMethod.NONE], ...additional, esn: [1, 0] };
  if (protocol === "ah")
    return integ[0] === undefined ? undefined : { protocol, encr: [], integ: [integ[0].id], ...ofChild };
  const encr = usable(TransformType.ENCR).find(({ id }) => isCombinedMode(id) || integ.length > 0);
  if (encr === undefined || (protocol === "ike" && (ke === undefined || prf === undefined))) return undefined;
  const algorithms = {
    encr: [encr],
    integ: isCombinedMode(encr.id) ? [] : integ.slice(0, 1).map(({ id }) => id),
  };
  if (protocol === "esp") return { ...algorithms, ...ofChild };
  return { ...algorithms, prf: [prf!.id], ke: [ke!.id], ...additional, esn: [] };
}

/** The additional key exchanges that a peer insists on, by the first method that we have. */
function additionalKeOf(transforms: readonly Transform[]): Pick<ProposalSuite, "additionalKe"> {
  const lists: number[][] = [];
  for (const { type } of transforms) {
    const index = additionalKeyExchange(type);
    if (index === undefined) continue;
    const ids = transforms.filter((one) => one.type === type).map(({ id }) => id);
    while (lists.length < index) lists.push([]);
    const usable = ids.includes(KeyExchangeMethod.NONE) ? undefined : ids.find((id) => isAdvisable(type, id));
    if (usable !== undefined) lists[index - 1] = [usable];
  }
  return lists.some((ids) => ids.length > 0) ? { additionalKe: lists } : {};
}

/** The first choice of each type. */
function simplest({ encr, integ, prf, ke, esn }: ProposalSuite): ProposalSuite {
  return { encr: encr.slice(0, 1), integ: integ.slice(0, 1), prf: prf.slice(0, 1), ke: ke.slice(0, 1), esn };
}
