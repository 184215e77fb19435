/** What was sent, what arrived, and what the wire saw: the model that a simulated world is held against. */
import type { Instant } from "../../src/base/instant.ts";
import { address, packet } from "../unit/dataplane/packets.ts";
import type { Outgoing } from "./gateway-node.ts";

/** Stands in every inner packet and must never be seen on the wire. */
const SECRET = new TextEncoder().encode("no one outside may read this");
const ID_AT = 28;

export interface SentPacket {
  readonly from: "a" | "b";
  readonly at: Instant;
}

const HOSTS = { a: "10.1.0.9", b: "10.2.0.9" } as const;

export class Ledger {
  readonly sent = new Map<number, SentPacket>();
  readonly delivered = new Map<number, Instant>();
  /** Packets that arrived behind one that was sent later from the same side. */
  readonly overtaken: number[] = [];
  readonly #newest = { a: 0, b: 0 };
  /** What must not happen, in words. */
  readonly faults: string[] = [];
  /** Datagrams that the wire saw, by kind. */
  readonly seen = { ike: 0, esp: 0, keepalive: 0 };
  #next = 1;

  /** @param octets - of the whole packet; the least that holds what is looked at unless told */
  make(from: "a" | "b", at: Instant, octets = 0): { readonly id: number; readonly packet: Uint8Array } {
    const id = this.#next++;
    const payload = new Uint8Array(Math.max(8 + SECRET.length, octets - ID_AT));
    new DataView(payload.buffer).setUint32(0, id);
    payload.set(SECRET, 8);
    this.sent.set(id, { from, at });
    const to = from === "a" ? "b" : "a";
    return { id, packet: packet({ source: HOSTS[from], destination: HOSTS[to], payload }) };
  }

  deliver(at: "a" | "b", inner: Uint8Array, now: Instant): void {
    const source = inner.subarray(12, 16);
    if (inner.length < ID_AT + 8 || inner[9] === 1) return;
    const id = new DataView(inner.buffer, inner.byteOffset).getUint32(ID_AT);
    const original = this.sent.get(id);
    if (original === undefined || original.from === at) {
      this.faults.push(`a packet arrived at ${at} that nobody had sent there (${id})`);
      return;
    }
    if (this.delivered.has(id)) this.faults.push(`packet ${id} arrived twice`);
    if (!equal(source, address(HOSTS[original.from])) || !contains(inner, SECRET))
      this.faults.push(`packet ${id} arrived changed`);
    this.delivered.set(id, now);
    if (id < this.#newest[original.from]) this.overtaken.push(id);
    this.#newest[original.from] = Math.max(id, this.#newest[original.from]);
  }

  wire({ local, remote, bytes }: Outgoing, now: Instant): void {
    if (contains(bytes, SECRET)) this.faults.push(`at ${now} the wire saw an inner packet in clear`);
    if (bytes.length === 1) this.seen.keepalive++;
    else if (local.port === 500 || remote.port === 500) this.seen.ike++;
    else if (local.port === 4500 && bytes.subarray(0, 4).every((octet) => octet === 0)) this.seen.ike++;
    else this.seen.esp++;
  }

  /** Ids of packets sent in a span of time that have not arrived. */
  missing(from: Instant, to: Instant): number[] {
    return [...this.sent]
      .filter(([id, { at }]) => at >= from && at < to && !this.delivered.has(id))
      .map(([id]) => id);
  }
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((octet, i) => octet === b[i]);
}

function contains(bytes: Uint8Array, part: Uint8Array): boolean {
  for (let i = 0; i + part.length <= bytes.length; i++)
    if (equal(bytes.subarray(i, i + part.length), part)) return true;
  return false;
}
