import { expect, test } from "vitest";
import { utf8 } from "../../../src/base/bytes.ts";
import { parseIpAddress } from "../../../src/base/ip-address.ts";
import { addKnown, dropKnown, isKnown, type KnownPeers } from "../../../src/ike/known-peers.ts";
import type { EstablishedIkeSa, IkeSa } from "../../../src/ike/sa/ike-sa.ts";
import type { IkeSaId } from "../../../src/ike/sa/ike-sa-id.ts";
import { speakOver } from "../../../src/ike/sa/peer-address.ts";
import type { Turn } from "../../../src/ike/turn.ts";
import { IdType } from "../../../src/wire/ike/registries.ts";

const at = (address: string) => ({ address: parseIpAddress(address)!, port: 500 });
const fqdn = (name: string) => ({ idType: IdType.FQDN, data: utf8(name) });

function standing(id: number, name: string, address: string): EstablishedIkeSa {
  const ends = { local: at("192.0.2.1"), remote: at(address), localIdentity: fqdn(name) };
  return { id: id as IkeSaId, state: "established", window: {}, ...ends } as unknown as EstablishedIkeSa;
}

function world(...all: EstablishedIkeSa[]) {
  const knownPeers: KnownPeers = new Map();
  const sas = new Map<IkeSaId, IkeSa>(all.map((sa) => [sa.id, sa]));
  for (const sa of all) addKnown(knownPeers, sa);
  const asks = (name: string, address: string) =>
    isKnown(knownPeers, sas, { localIdentity: fqdn(name), remote: at(address) });
  return { knownPeers, sas, asks };
}

test("[CHILD-22] a peer knows us at its address and by the identity of the IKE SA, however that is written", () => {
  const { asks } = world(standing(1, "gw.test", "198.51.100.1"), standing(2, "two.test", "198.51.100.2"));
  expect(asks("gw.test", "198.51.100.1")).toBe(true);
  expect(asks("GW.Test", "198.51.100.1")).toBe(true);
  expect(asks("two.test", "198.51.100.1")).toBe(false);
  expect(asks("gw.test", "198.51.100.2")).toBe(false);
});

test("it knows us for as long as one of several stands, and nothing of those that are gone is kept", () => {
  const [one, two] = [standing(1, "gw.test", "198.51.100.1"), standing(2, "gw.test", "198.51.100.1")];
  const { knownPeers, sas, asks } = world(one, two);
  dropKnown(knownPeers, one);
  expect(asks("gw.test", "198.51.100.1")).toBe(true);
  sas.set(two.id, { ...two, state: "leaving" } as unknown as IkeSa);
  expect(asks("gw.test", "198.51.100.1")).toBe(false);
  dropKnown(knownPeers, two);
  expect(knownPeers.size).toBe(0);
});

test("a peer that has moved knows us where it is now, and no longer where it was", () => {
  const sa = standing(1, "gw.test", "198.51.100.1");
  const { knownPeers, sas, asks } = world(sa);
  const turn = { machine: { knownPeers, sas }, actions: [] } as unknown as Turn;
  speakOver(turn, sa, { local: sa.local, remote: at("203.0.113.9") });
  expect(asks("gw.test", "198.51.100.1")).toBe(false);
  expect(asks("gw.test", "203.0.113.9")).toBe(true);
});
