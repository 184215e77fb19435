/** Bugs worth fearing, each a change of one place, and the test that must notice it. */
export interface Mutant {
  readonly bug: string;
  readonly file: string;
  /** Text that occurs once in the file. */
  readonly find: string;
  readonly replace: string;
  readonly test: string;
  /** Part of the test's name. */
  readonly killedBy: string;
}

export const MUTANTS: readonly Mutant[] = [
  {
    bug: "the anti-replay window moves before the integrity check",
    file: "src/dataplane/inbound.ts",
    find: "const verdict = checkReplay(table, base, sequence);",
    replace: "const verdict = updateReplay(table, base, sequence);",
    test: "test/unit/dataplane/inbound.test.ts",
    killedBy: "[ESP-12]",
  },
  {
    bug: "a duplicate within one batch passes",
    file: "src/dataplane/inbound.ts",
    find: "const verdict = updateReplay(table, base, sequence);",
    replace: "updateReplay(table, base, sequence);\n    const verdict: number = REPLAY_OK;",
    test: "test/unit/dataplane/inbound.test.ts",
    killedBy: "[ESP-04] a duplicate is dropped, in the same batch and later",
  },
  {
    bug: "the left edge of the window is one too far",
    file: "src/esp/anti-replay.ts",
    find: "if (highest - sequence >= window)",
    replace: "if (highest - sequence > window)",
    test: "test/unit/dataplane/inbound.test.ts",
    killedBy: "[ESP-04] what lies left of the window",
  },
  {
    bug: "inbound packets are not held against the SA's selectors",
    file: "src/dataplane/inbound.ts",
    find: "if (!this.#isWithinSelectors(i, slot)) return this.#refuse(i, Drop.selectorMismatch, now);",
    replace: "this.#isWithinSelectors(i, slot);",
    test: "test/unit/dataplane/inbound.test.ts",
    killedBy: "[SPD-04] [CHILD-07]",
  },
  {
    bug: "the peer is followed to where an old packet came from",
    file: "src/dataplane/inbound.ts",
    find: "if (isNewest) this.#follow(i, slot, base, now);",
    replace: "this.#follow(i, slot, base, now);\n    void isNewest;",
    test: "test/unit/dataplane/inbound.test.ts",
    killedBy: "[NAT-07] is not followed after a packet that fails, or one older than the newest",
  },
  {
    bug: "congestion that cannot be told is passed on",
    file: "src/esp/ecn.ts",
    find: "return ecn === ECN_CE ? ECN_DROP : innerTos;",
    replace: "return innerTos;",
    test: "test/unit/esp/ecn.test.ts",
    killedBy: "[ECN-02]",
  },
  {
    bug: "a manual SA begins at number 1 again after a restart",
    file: "src/policy/sa-record.ts",
    find: '"inboundSpi" in sa ? (sa.firstSequenceNumber ?? 1) : 1;',
    replace: "1;",
    test: "test/unit/policy/sad.test.ts",
    killedBy: "[ESP-02]",
  },
  {
    bug: "a packet that no entry matches is let through as the first entry says",
    file: "src/policy/spd.ts",
    find: "  return -1;\n}\n\n/** The last interval",
    replace: "  return 0;\n}\n\n/** The last interval",
    test: "test/unit/policy/spd.test.ts",
    killedBy: "[SPD-01]",
  },
  {
    bug: "without ESN the sequence number wraps",
    file: "src/policy/sa-record.ts",
    find: "setSequenceLimit(table, base, Math.min(lastNumber, most));",
    replace: "setSequenceLimit(table, base, EXTENDED_SEQUENCE_MAX);",
    test: "test/unit/policy/sad.test.ts",
    killedBy: "[ESP-02]",
  },
  {
    bug: "an SA goes on past its hard limit",
    file: "src/esp/lifetime.ts",
    find: "f64[(base + Slot.PACKETS) >> 3]! < f64[(base + Slot.HARD_PACKETS) >> 3]! &&",
    replace: "f64[(base + Slot.PACKETS) >> 3]! < Number.POSITIVE_INFINITY &&",
    test: "test/unit/dataplane/inbound.test.ts",
    killedBy: "[CHILD-24]",
  },
  {
    bug: "in a crossing of child rekeys the highest nonce loses",
    file: "src/ike/exchange/create-child-sa-initiator.ts",
    find: "compare(lowestNonce, crossing.lowestNonce) < 0",
    replace: "compare(lowestNonce, crossing.lowestNonce) > 0",
    test: "test/sim/ike-collision.test.ts",
    killedBy: "[CHILD-12]",
  },
  {
    bug: "in a crossing of IKE SA rekeys the highest nonce loses",
    file: "src/ike/exchange/rekey-ike-initiator.ts",
    find: "compare(fresh.lowestNonce, crossing.lowestNonce) < 0",
    replace: "compare(fresh.lowestNonce, crossing.lowestNonce) > 0",
    test: "test/sim/ike-collision.test.ts",
    killedBy: "[CHILD-13]",
  },
  {
    bug: "the response leaves before the inbound SA is there",
    file: "src/ike/exchange/ike-auth-responder.ts",
    find: "    const { child, outbound } = installInbound(turn, sa, agreed);\n    sendResponse(turn, sa, ExchangeType.IKE_AUTH, messageId, [...identity, ...answer]);",
    replace:
      "    sendResponse(turn, sa, ExchangeType.IKE_AUTH, messageId, [...identity, ...answer]);\n    const { child, outbound } = installInbound(turn, sa, agreed);",
    test: "test/sim/ike-child.test.ts",
    killedBy: "in this order: the inbound SA, the response, the outbound SA",
  },
  {
    bug: "every shared key is accepted",
    file: "src/ike/auth/psk.ts",
    find: "const isEqual = constantTimeEqual(expected, presented);",
    replace: "const isEqual = constantTimeEqual(expected, expected) && presented.length > 0;",
    test: "test/sim/ike-auth.test.ts",
    killedBy: "[AUTH-07]",
  },
  {
    bug: "the integrity check value of the encrypted payload is not looked at",
    file: "src/ike/sa/sk-payload.ts",
    find: "if (!constantTimeEqual(icv, bytes.subarray(covered.length))) return undefined;",
    replace: "constantTimeEqual(icv, bytes.subarray(covered.length));",
    test: "test/unit/ike/sk-payload.test.ts",
    killedBy: "[ENC-02]",
  },
  {
    bug: "any cookie is a good cookie",
    file: "src/ike/negotiation/cookie.ts",
    find: "secret !== undefined && constantTimeEqual(cookieOf(secret, nonce, address, initiatorSpi), cookie),",
    replace:
      "secret !== undefined && cookieOf(secret, nonce, address, initiatorSpi).length === cookie.length,",
    test: "test/sim/ike-init.test.ts",
    killedBy: "[INIT-06] [INIT-07]",
  },
  {
    bug: "prf+ counts from zero",
    file: "src/crypto/prf.ts",
    find: "prf(alg, key, block, seed, Uint8Array.of(counter))",
    replace: "prf(alg, key, block, seed, Uint8Array.of(counter - 1))",
    test: "test/unit/crypto/prf.test.ts",
    killedBy: "prf+ chains each block to the one before and counts from 1",
  },
  {
    bug: "the SKEYSEED of a rekeyed IKE SA leaves the nonces out",
    file: "src/crypto/keymat.ts",
    find: "return prf(oldAlg, skD, sharedSecret, nonces.initiator, nonces.responder);",
    replace: "return prf(oldAlg, skD, sharedSecret);",
    test: "test/unit/crypto/keymat.test.ts",
    killedBy: "SKEYSEED of a rekeyed IKE SA is keyed by the old SK_d",
  },
  {
    bug: "a recovery of the upper half goes back to numbers that were used",
    file: "src/dataplane/esn-recovery.ts",
    find: "if (wholeSequenceNumber(high, low) <= highest) high++;",
    replace: "high = 0;",
    test: "test/unit/dataplane/esn-recovery.test.ts",
    killedBy: "cannot move the window, nor replay what was sent before, by failures in a row",
  },
  {
    bug: "strangers' forgeries are tried without a limit",
    file: "src/dataplane/esn-recovery.ts",
    find: "this.#dueAt[slot] = now + ESN_RECOVERY_INTERVAL_MS;",
    replace: "",
    test: "test/unit/dataplane/esn-recovery.test.ts",
    killedBy: "makes no more than one packet of an SA be tried within the interval",
  },
];
