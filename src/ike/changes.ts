/** What another configuration changes, and what that costs: an IKE SA, a child SA, a rekey, or nothing. */
import { isSameValue } from "../base/same-value.ts";
import type {
  ChildConfiguration,
  Connection,
  OwnAuthentication,
  PeerAuthentication,
} from "../policy/connection.ts";

/** Settings by their key in the configuration file. */
type Settings = Readonly<Record<string, unknown>>;

export interface ConnectionChanges {
  /** Keys that an IKE SA rests on: it ends, with its children, and begins anew. */
  readonly ending: readonly string[];
  /** Keys that a repeated authentication brings: the old IKE SA carries on until the new one is there, for a while. */
  readonly renewing: readonly string[];
  /** Keys that count from now on without that. */
  readonly quiet: readonly string[];
}

export interface ChildChanges {
  /** Keys that its SAs rest on: they are deleted and made anew. */
  readonly ending: readonly string[];
  /** Keys that a rekey brings: the old SA carries on until the new one is there. */
  readonly rekeying: readonly string[];
  /** Keys that count from the next rekey or the next packet on. */
  readonly quiet: readonly string[];
}

export function connectionChanges(old: Connection, fresh: Connection): ConnectionChanges {
  return {
    ending: differing(peerSettings(old), peerSettings(fresh)),
    renewing: differing(provenSettings(old), provenSettings(fresh)),
    quiet: differing(otherSettings(old), otherSettings(fresh)),
  };
}

export function childChanges(old: ChildConfiguration, fresh: ChildConfiguration): ChildChanges {
  return {
    ending: differing(
      { ...childSaSettings(old), iptfs: agreedAggfrag(old) },
      { ...childSaSettings(fresh), iptfs: agreedAggfrag(fresh) },
    ),
    rekeying: differing(rekeyedSettings(old), rekeyedSettings(fresh)),
    quiet: differing(
      { keep: old.keep, rekey: old.rekey, inactivity: old.inactivity, rehearse: old.rehearse },
      { keep: fresh.keep, rekey: fresh.rekey, inactivity: fresh.inactivity, rehearse: fresh.rehearse },
    ),
  };
}

function differing(old: Settings, fresh: Settings): readonly string[] {
  return Object.keys(old).filter((key) => !isSameValue(old[key], fresh[key]));
}

/** What an IKE SA depends on besides the peer's address. */
export function ikeSaSettings(connection: Connection): Settings {
  return { ...peerSettings(connection), ...provenSettings(connection) };
}

/** Who and where both ends are: under other ones nothing takes the place of an IKE SA that stands. */
function peerSettings({ local, remote, encapsulation, oneOf }: Connection): Settings {
  return {
    "local.address": local.address,
    "local.id": local.id,
    "remote.port": remote.port,
    "remote.id": remote.id,
    "remote.ids": oneOf?.networks,
    encapsulation,
  };
}

/** By what they prove it, and with which algorithms. */
function provenSettings({ local, remote, ike, ppk }: Connection): Settings {
  return {
    "local.auth": keyEssence(local.auth),
    "remote.auth": keyEssence(remote.auth),
    ppk,
    "ike.proposals": ike.proposals,
  };
}

/** Renewed certificates and keys of ours count from the next authentication on; other secrets, and keys of peers, at once. */
function keyEssence(auth: OwnAuthentication | PeerAuthentication): unknown {
  if (auth.kind === "psk") return auth;
  return "keys" in auth ? [auth.kind, auth.keys] : auth.kind;
}

function otherSettings({ local, remote, keep, ike }: Connection): Settings {
  return {
    "local.certificate": local.auth.kind === "psk" ? undefined : local.auth,
    "remote.ca": remote.auth.kind === "psk" ? undefined : { ...remote.auth, keys: undefined },
    "remote.address": [remote.addresses, remote.names],
    keep,
    "ike.rekey": ike.rekey,
    "ike.liveness": ike.liveness,
    "ike.fragmentation": ike.fragmentation,
    "ike.reauth": ike.reauth,
    "ike.unique": ike.unique,
    "ike.childless": ike.childless,
    "ike.mobike": ike.mobike,
  };
}

/** All that the SAs of a child depend on. */
export function childSettings(child: ChildConfiguration): Settings {
  return { ...childSaSettings(child), ...rekeyedSettings(child) };
}

/** What a child SA cannot change while it lives, not even by its successor. */
function childSaSettings(child: ChildConfiguration): Settings {
  const { selectors, handling, dscpClasses, hasNoLaneSas, saPer, proposals } = child;
  return {
    "local and remote": selectors,
    mode: handling.mode ?? "tunnel",
    dscp_sas: dscpClasses,
    lane_sas: hasNoLaneSas,
    sa_per: saPer,
    "esp or ah": proposals.some(({ protocol }) => protocol === "ah"),
  };
}

/** What USE_AGGFRAG agrees on, which a rekey keeps [TFS-11]. */
function agreedAggfrag({ handling: { aggfrag } }: ChildConfiguration): Settings | undefined {
  return aggfrag && { fragment: aggfrag.mayFragment, congestion_control: aggfrag.congestion !== "off" };
}

function rekeyedSettings({ proposals, lifetime, handling }: ChildConfiguration): Settings {
  const { replayWindow, dscp, ecn, df, innerMtu, mss, tfc, aggfrag } = handling;
  return {
    "esp, ah": proposals,
    "rekey (octets, packets)": lifetime,
    replay_window: replayWindow,
    dscp,
    ecn,
    df,
    mtu: innerMtu,
    mss,
    tfc: [tfc, aggfrag],
  };
}
