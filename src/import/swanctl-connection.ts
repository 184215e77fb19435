/** A connection of swanctl.conf as one of ours. */
import { parseIpAddress } from "../base/ip-address.ts";
import type { Taking } from "./notes.ts";
import { type Ends, jitterOf, type Keep, type TranslatedChild, translateChild } from "./swanctl-child.ts";
import { plain, type Secrets } from "./swanctl-secrets.ts";
import { firstRound, type Sides, type TranslatedSide } from "./swanctl-sides.ts";
import { durationText, takeProposals, takeSeconds } from "./swanctl-values.ts";

type Mapping = Record<string, unknown>;

export interface TranslatedConnection {
  readonly value: Mapping;
  readonly policies: readonly Mapping[];
  /** Outer addresses of ours, where the connection names them. */
  readonly ownAddresses: readonly string[];
  readonly hasTransport: boolean;
}

const LOST: Readonly<Record<string, string>> = {
  pools: "address pools are not there: peers that ask for an address get none",
  vips: "asking the peer for an address is not there: write the address into local of the child if it is fixed",
  aggressive: "is IKEv1's",
  pull: "is IKEv1's",
  dpd_timeout: "is IKEv1's; with IKEv2 retransmissions decide",
  over_time: "is not needed: an IKE SA that cannot be rekeyed ends by itself",
  send_certreq: "certificate requests are always sent",
  send_cert: "our certificate is sent when it is asked for, and always when there is a CA that may want it",
  keyingtries: "",
  dscp: "IKE packets have no DSCP of their own",
  close_action: "",
  mediation: "mediation is not there",
  mediated_by: "mediation is not there",
  mediation_peer: "mediation is not there",
  if_id_in: "is the Linux kernel's; interface names a TUN device of its own here",
  if_id_out: "is the Linux kernel's; interface names a TUN device of its own here",
  ocsp: "OCSP responses are not sent along",
};

/** `undefined` for a connection that cannot be translated, which is said. */
export function translateConnection(
  from: Taking,
  sides: Sides,
  secrets: Secrets,
): TranslatedConnection | undefined {
  const version = from.take("version")?.value ?? "0";
  if (version === "0")
    from.note(
      "version",
      "strongSwan without version = 2 also answers IKEv1, which is not there; a peer that still calls with it no longer gets through",
    );
  if (version === "1") {
    from.note(
      "version",
      "IKEv1 is not there; the connection is left out. Most peers of the last fifteen years know IKEv2: set version = 2 on both sides",
    );
    return undefined;
  }
  const ownAddresses = from.list("local_addrs").filter((one) => !one.startsWith("%any"));
  const remoteAddresses = addressesOf(from);
  const local = sides.local(firstRound(from, "local"));
  const remote = sides.remote(firstRound(from, "remote"));
  if (local.auth === "none" || remote.auth === "none") return undefined;
  const single = remoteAddresses.length === 1 ? remoteAddresses[0] : undefined;
  const isCallable = remoteAddresses.some((one) => one !== "any" && !one.includes("/") && !one.includes("-"));
  const ends: Ends = {
    isCallable,
    ...(ownAddresses.length === 1 ? { local: ownAddresses[0]! } : {}),
    ...(single !== undefined && parseIpAddress(single) !== undefined ? { remote: single } : {}),
  };
  const children = from.sections("children").flatMap(([name, section]) => {
    const all = from.below(name, section);
    return [...section.sections].map(
      ([child, one]) => [child, translateChild(all.below(child, one), ends)] as const,
    );
  });
  const proof = proofOf(from, local, remote, ownAddresses, remoteAddresses, secrets);
  const own = { ...ownSide(from, local, ownAddresses), ...proof.local };
  const carried = children.filter(([, { kind }]) => kind === "child");
  const keep = strongest(
    carried.map(([, one]) => one),
    isCallable,
  );
  const value: Mapping = {
    ...(Object.keys(own).length === 0 ? {} : { local: own }),
    remote: {
      address: remoteAddresses.length === 1 ? remoteAddresses[0] : remoteAddresses,
      ...portOf(from),
      ...remote.value,
      ...proof.remote,
    },
    ...proof.common,
    keep,
    ...(from.yesOrNo("encap") === true ? { encapsulation: "udp" } : {}),
    ...ikeOf(from),
    ...ppkOf(from, secrets),
    children: Object.fromEntries(carried.map(([name, one]) => [name, childValue(one, keep)])),
  };
  from.rest(LOST);
  if (carried.length === 0) {
    from.note("", "carries nothing that can be translated; the connection is left out");
    return undefined;
  }
  return {
    value,
    policies: children.flatMap(
      ([
        ,
        {
          kind,
          value: { local: l, remote: r },
        },
      ]) => (kind === "bypass" || kind === "discard" ? [{ local: l, remote: r, action: kind }] : []),
    ),
    ownAddresses,
    hasTransport: carried.some(([, one]) => one.value["mode"] === "transport"),
  };
}

function childValue({ value, keep }: TranslatedChild, ofConnection: Keep): Mapping {
  const wanted = ofConnection === "respond" ? "respond" : keep;
  return wanted === ofConnection ? value : { ...value, keep: wanted };
}

function strongest(children: readonly TranslatedChild[], isCallable: boolean): Keep {
  if (!isCallable) return "respond";
  return (
    (["up", "on-demand"] as const).find((keep) => children.some((one) => one.keep === keep)) ?? "respond"
  );
}

function addressesOf(from: Taking): readonly string[] {
  const written = from.list("remote_addrs").map((one) => (one.startsWith("%any") ? "any" : one));
  return written.length === 0 || written.includes("any") ? ["any"] : written;
}

function portOf(from: Taking): Mapping {
  const ours = from.take("local_port")?.value;
  if (ours !== undefined && ours !== "500" && ours !== "4500")
    from.note("local_port", `is a setting of the whole gateway here: gateway.ports.ike: ${ours.slice(0, 8)}`);
  const port = from.take("remote_port")?.value;
  if (port === undefined || port === "500") return {};
  if (/^\d{1,5}$/.test(port)) return { port: Number(port) };
  from.note("remote_port", "is no port; left out");
  return {};
}

function ownSide(from: Taking, local: TranslatedSide, own: readonly string[]): Mapping {
  const [first, second] = own;
  if (second !== undefined)
    from.note(
      "local_addrs",
      `the first address is kept, ${first}; others are found by the route to the peer when it is left out`,
    );
  const isOne = first !== undefined && parseIpAddress(first) !== undefined;
  if (first !== undefined && !isOne)
    from.note("local_addrs", "is no single address; the one that leads to the peer is used");
  return { ...(isOne ? { address: first } : {}), ...local.value };
}

interface Proof {
  readonly common: Mapping;
  readonly local: Mapping;
  readonly remote: Mapping;
}

/** The pre-shared key, and the identities that strongSwan would accept with it. */
function proofOf(
  from: Taking,
  local: TranslatedSide,
  remote: TranslatedSide,
  ownAddresses: readonly string[],
  remoteAddresses: readonly string[],
  secrets: Secrets,
): Proof {
  const ours = local.id === undefined ? ownAddresses : [plain(local.id)];
  const theirs = remote.id === undefined ? remoteAddresses : [plain(remote.id)];
  const needsKey = local.auth === "psk" || remote.auth === "psk";
  const isOpen = remoteAddresses.includes("any");
  const many = remote.id === undefined && isOpen && remote.auth === "psk" ? secrets.forMany(ours) : [];
  if (many.length > 1) {
    const ids = Object.fromEntries(many.map(({ id, key }) => [id, { psk: key }]));
    return { common: {}, local: {}, remote: { ids } };
  }
  const identity = remote.id === undefined ? identityFor(from, remote, isOpen, ours, theirs, secrets) : {};
  if (!needsKey) return { common: {}, local: {}, remote: identity };
  const key = secrets.sharedKey(ours, theirs);
  if (key === undefined) {
    from.note("", "has no secret for its identities in the file; write psk: { file: ... }");
    return { common: {}, local: {}, remote: identity };
  }
  if (local.auth === remote.auth) return { common: { psk: key }, local: {}, remote: identity };
  return local.auth === "psk"
    ? { common: {}, local: { psk: key }, remote: identity }
    : { common: {}, local: {}, remote: { ...identity, psk: key } };
}

/** Without an identity strongSwan takes anybody who has the key or the CA's word; a secret that names one peer means that one. */
function identityFor(
  from: Taking,
  remote: TranslatedSide,
  isOpen: boolean,
  ours: readonly string[],
  theirs: readonly string[],
  secrets: Secrets,
): Mapping {
  if (remote.auth === "psk") {
    const named = secrets.peersOf(ours, theirs).map(plain);
    if (!isOpen && named.length === 1 && theirs.includes(named[0]!)) return {};
    if (named.length === 1) return { id: named[0] };
  }
  from.note(
    "",
    "says nothing of who the peer is: id: any lets in whoever can prove any identity, as it was; write remote.id to narrow that",
  );
  return { id: "any" };
}

function ikeOf(from: Taking): Mapping {
  const proposals = takeProposals(from, "proposals", "ike");
  const dpd = takeSeconds(from, "dpd_delay");
  const reauth = takeSeconds(from, "reauth_time");
  const mobike = from.yesOrNo("mobike");
  const fragmentation = from.take("fragmentation")?.value.toLowerCase();
  const ike = {
    ...(proposals === undefined ? {} : { proposals }),
    ...rekeyOf(from),
    ...(dpd === undefined || dpd === 0 ? {} : { liveness: durationText(Math.min(dpd, 3600)) }),
    ...(fragmentation === "no" ? { fragmentation: false } : {}),
    ...(mobike === false ? { mobike: false } : {}),
    ...(reauth === undefined || reauth === 0 ? {} : { reauth: durationText(reauth) }),
    ...uniqueOf(from),
    ...childlessOf(from),
  };
  if (dpd === 0)
    from.note(
      "dpd_delay",
      "the peer is always asked for a sign of life here, after 30s of silence unless ike.liveness says otherwise",
    );
  return Object.keys(ike).length === 0 ? {} : { ike };
}

function rekeyOf(from: Taking): Mapping {
  const time = takeSeconds(from, "rekey_time");
  const rand = takeSeconds(from, "rand_time");
  if (time === 0) from.note("rekey_time", "keys are always replaced in time here; the usual 4h hold");
  const seconds = time === undefined || time === 0 ? undefined : time;
  const rekey = {
    ...(seconds === undefined ? {} : { time: durationText(Math.max(5, seconds)) }),
    ...jitterOf(rand, seconds ?? 14_400),
  };
  return Object.keys(rekey).length === 0 ? {} : { rekey };
}

/**
 * The words are the same and mean something else: there `keep` keeps the old one, and `no`, which holds when nothing is
 * said, is what `keep` is here.
 */
function uniqueOf(from: Taking): Mapping {
  const word = from.take("unique")?.value.toLowerCase() ?? "no";
  const unique = { never: "never", no: "keep", keep: "reject", replace: "replace", yes: "replace" }[word];
  if (unique === undefined) from.note("unique", `${word.slice(0, 20)} is not known; the usual replace holds`);
  return unique === undefined ? {} : { unique };
}

function childlessOf(from: Taking): Mapping {
  const word = from.take("childless")?.value.toLowerCase();
  if (word === "force")
    from.note("childless", "force becomes prefer: a peer that cannot is talked to all the same");
  const childless = { allow: undefined, prefer: "prefer", force: "prefer", never: "never" }[word ?? "allow"];
  return childless === undefined ? {} : { childless };
}

function ppkOf(from: Taking, secrets: Secrets): Mapping {
  const id = from.take("ppk_id")?.value;
  const required = from.yesOrNo("ppk_required") === true;
  if (id === undefined && !required) return {};
  const ppk = secrets.ppk(id);
  if (ppk === undefined) {
    from.note("ppk_id", "has no ppk in secrets; the connection goes without one");
    return {};
  }
  return { ppk: { ...ppk, required } };
}
