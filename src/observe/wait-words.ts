/** What something that is not up waits for, in words. */
import type { WaitsFor } from "../ike/connection-state.ts";

const WORDS: Readonly<Record<WaitsFor, string>> = {
  peer: "waits for the peer to call",
  packet: "waits for a packet that needs it",
  operator: "taken down; tungate up brings it back",
  name: "waits for an answer of a name server",
  retry: "waits for its next try",
  ikeSa: "waits for the IKE SA",
};

export function waitWords(waitsFor: WaitsFor): string {
  return WORDS[waitsFor];
}
