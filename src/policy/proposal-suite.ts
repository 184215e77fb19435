/** A proposal as configured: per transform type what is acceptable, best first (RFC 7296 section 3.3). */

export interface EncrChoice {
  readonly id: number;
  /** Key length attribute in bits; 0 for ciphers that take none [ENC-12]. */
  readonly keyBits: number;
}

/** Either combined-mode ciphers without `integ`, or other ciphers with it [ENC-09]; AH has `integ` alone. */
export interface ProposalSuite {
  /** Absent: of IKE or ESP, as its place says. */
  readonly protocol?: "ah";
  /** Empty for AH. */
  readonly encr: readonly EncrChoice[];
  readonly integ: readonly number[];
  /** Empty for ESP and AH. */
  readonly prf: readonly number[];
  /** Key exchange methods; for ESP and AH 0 (NONE) allows a child without a key exchange of its own. */
  readonly ke: readonly number[];
  /**
   * Methods of the additional key exchanges, transform types ADDKE1 to ADDKE7 in this order (RFC 9370 section 2.2.1); 0 (NONE)
   * allows to go without one. Absent: none are offered.
   */
  readonly additionalKe?: readonly (readonly number[])[];
  /** Empty for IKE; otherwise of 0 (no) and 1 (yes). */
  readonly esn: readonly number[];
}
