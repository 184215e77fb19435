/** Object identifiers of X.509 by the RFCs' names. */

/** Attributes of names, with the short names of RFC 4514 section 3 and of common tools (RFC 5280 appendix A.1). */
export const AttributeType: Readonly<Record<string, string>> = {
  CN: "2.5.4.3",
  SN: "2.5.4.4",
  serialNumber: "2.5.4.5",
  C: "2.5.4.6",
  L: "2.5.4.7",
  ST: "2.5.4.8",
  street: "2.5.4.9",
  O: "2.5.4.10",
  OU: "2.5.4.11",
  title: "2.5.4.12",
  postalCode: "2.5.4.17",
  name: "2.5.4.41",
  GN: "2.5.4.42",
  initials: "2.5.4.43",
  generationQualifier: "2.5.4.44",
  dnQualifier: "2.5.4.46",
  pseudonym: "2.5.4.65",
  UID: "0.9.2342.19200300.100.1.1",
  DC: "0.9.2342.19200300.100.1.25",
  E: "1.2.840.113549.1.9.1",
};

/** Extensions (RFC 5280 section 4.2). */
export const ExtensionId = {
  SUBJECT_KEY_IDENTIFIER: "2.5.29.14",
  KEY_USAGE: "2.5.29.15",
  SUBJECT_ALT_NAME: "2.5.29.17",
  ISSUER_ALT_NAME: "2.5.29.18",
  BASIC_CONSTRAINTS: "2.5.29.19",
  CRL_NUMBER: "2.5.29.20",
  DELTA_CRL_INDICATOR: "2.5.29.27",
  ISSUING_DISTRIBUTION_POINT: "2.5.29.28",
  CERTIFICATE_ISSUER: "2.5.29.29",
  NAME_CONSTRAINTS: "2.5.29.30",
  CRL_DISTRIBUTION_POINTS: "2.5.29.31",
  CERTIFICATE_POLICIES: "2.5.29.32",
  POLICY_MAPPINGS: "2.5.29.33",
  AUTHORITY_KEY_IDENTIFIER: "2.5.29.35",
  POLICY_CONSTRAINTS: "2.5.29.36",
  EXTENDED_KEY_USAGE: "2.5.29.37",
  INHIBIT_ANY_POLICY: "2.5.29.54",
  AUTHORITY_INFO_ACCESS: "1.3.6.1.5.5.7.1.1",
  OCSP_NO_CHECK: "1.3.6.1.5.5.7.48.1.5",
  OCSP_NONCE: "1.3.6.1.5.5.7.48.1.2",
} as const;

/** Purposes of extended key usage (RFC 5280 section 4.2.1.12, RFC 4945 section 5.1.3.12). */
export const KeyPurpose = {
  ANY: "2.5.29.37.0",
  SERVER_AUTH: "1.3.6.1.5.5.7.3.1",
  CLIENT_AUTH: "1.3.6.1.5.5.7.3.2",
  IPSEC_END_SYSTEM: "1.3.6.1.5.5.7.3.5",
  IPSEC_TUNNEL: "1.3.6.1.5.5.7.3.6",
  IPSEC_USER: "1.3.6.1.5.5.7.3.7",
  OCSP_SIGNING: "1.3.6.1.5.5.7.3.9",
  IPSEC_IKE: "1.3.6.1.5.5.7.3.17",
  IKE_INTERMEDIATE: "1.3.6.1.5.5.8.2.2",
} as const;

/** Access methods (RFC 5280 section 4.2.2.1). */
export const ACCESS_OCSP = "1.3.6.1.5.5.7.48.1";
export const OCSP_BASIC_RESPONSE = "1.3.6.1.5.5.7.48.1.1";
