/** Every bound of certificate checking: what a peer, a CA or whoever answers for it may make us read and compute. */

/** Certificates that a peer sends; beyond, all are refused. */
export const RECEIVED_CERTIFICATES_MAX = 16;
/** Octets of all of them together. */
export const RECEIVED_OCTETS_MAX = 65_536;
/** Certificates of one path, the peer's and the CA's included. */
export const PATH_CERTIFICATES_MAX = 8;
/** Complete paths that are looked at for one peer. */
export const PATHS_MAX = 16;
/** Signatures of certificates, CRLs and OCSP responses verified for one peer. */
export const SIGNATURE_CHECKS_MAX = 48;
/** Bits of RSA keys: less is weak, more is too slow to be asked of us by strangers. */
export const RSA_BITS_MIN = 2048;
export const RSA_BITS_MAX = 8192;
/** Clocks of those who answer for a CA and ours may differ by so much, in milliseconds. */
export const CLOCK_SKEW_MS = 300_000;
/** An OCSP response without nextUpdate counts for so long after its thisUpdate, in milliseconds. */
export const OCSP_AGE_MAX_MS = 3_600_000;
/** Addresses of one certificate where CRLs or OCSP responders are asked for. */
export const URLS_PER_CERTIFICATE_MAX = 4;
/** Names of a certificate that a refusal tells. */
export const NAMES_TOLD_MAX = 8;
