/** Children whose keys stand in the configuration (RFC 4301 section 4.5.1): keys that fit, numbers that never repeat. */
import { resolve } from "node:path";
import { compareIpAddress, formatIpAddress, type IpAddress } from "../base/ip-address.ts";
import { Spi } from "../base/spi.ts";
import { encrAlgorithm } from "../crypto/encr.ts";
import { integAlgorithm, integIvLength } from "../crypto/integ.ts";
import type { Encapsulation, EspKeys, EspSuite } from "../policy/data-plane.ts";
import { formatSuite, transformKeyword } from "../policy/proposal-keyword.ts";
import type { ProposalSuite } from "../policy/proposal-suite.ts";
import { Esn, KeyExchangeMethod, TransformType } from "../wire/ike/registries.ts";
import { checkSelectors, checkTransport, handlingOf } from "./child-settings.ts";
import type { ManualChild, ManualSa } from "./configuration.ts";
import type { Findings } from "./findings.ts";
import { NAT_PORT } from "./gateway.ts";
import { checkAh, manualAh } from "./manual-ah.ts";
import { warnOfProposals } from "./proposal-advice.ts";
import type { ConnectionInput, ManualInput, ManualSaInput } from "./schema.ts";
import type { Path } from "./yaml-text.ts";

export interface ManualSource {
  readonly connection: string;
  readonly name: string;
  readonly path: Path;
  readonly input: ManualInput;
  /** The connection around it. */
  readonly settings: ConnectionInput;
  readonly interface: string;
  readonly listen: readonly IpAddress[];
  /** Where relative files are found. */
  readonly directory: string;
}

export interface ManualReading {
  /** Absent when it was refused. */
  readonly child: ManualChild | undefined;
  readonly inlineKeys: readonly Path[];
}

/** Anti-replay is off for manual keys: a peer that restarts begins again at 1 (RFC 4303 section 3.3.3). */
const MANUAL_REPLAY_WINDOW = 0;
/** Extended numbers are guessed from the window, so that there has to be one (RFC 4303 appendix A). */
const MANUAL_REPLAY_WINDOW_ESN = 4096;

export function readManualChild(source: ManualSource, findings: Findings): ManualReading {
  const { input, path, settings } = source;
  const selectors = { local: input.local, remote: input.remote };
  checkSelectors(selectors, path, findings);
  checkTransport(input, source.listen, path, findings);
  checkAh(input, settings.encapsulation, source.listen, path, findings);
  const outbound = manualSa(input.out, [...path, "out"], findings);
  const inbound = manualSa(input.in, [...path, "in"], findings);
  const remoteAddress = singleAddress(source, findings);
  if (input.mode === "transport" && remoteAddress !== undefined)
    checkPeer(input, remoteAddress, path, findings);
  const { esp, ah } = input.out;
  const proposal = esp ?? ah;
  const repeats = outbound !== undefined && repeatsGiveKeyAway(outbound.suite);
  if (repeats && proposal !== undefined && input.state === undefined)
    findings.refuse(
      "CONFIG_MANUAL_STATE",
      path,
      `${formatSuite(proposal)} repeats sequence numbers after a restart, which gives its key away; add state: FILE, which the service may write, or use a suite such as ${esp === undefined ? "sha256" : "aes256-sha256"}`,
      true,
    );
  const inlineKeys = inlineKeysOf(input, path);
  if (outbound === undefined || inbound === undefined || remoteAddress === undefined)
    return { child: undefined, inlineKeys };
  const localAddress = settings.local?.address;
  const encapsulation: Encapsulation = settings.encapsulation === "udp" ? "udp" : "esp";
  const child: ManualChild = {
    connection: source.connection,
    name: source.name,
    policy: `${source.connection}/${source.name}`,
    selectors,
    priority: input.priority ?? 0,
    interface: source.interface,
    routes: settings.routes ?? "auto",
    ...(localAddress === undefined ? {} : { localAddress }),
    remoteAddress,
    encapsulation,
    remotePort: settings.remote.port ?? NAT_PORT,
    outbound,
    inbound,
    handling: handlingOf(
      input,
      inbound.suite.esn ? MANUAL_REPLAY_WINDOW_ESN : MANUAL_REPLAY_WINDOW,
      path,
      findings,
    ),
    ...(input.state === undefined ? {} : { stateFile: resolve(source.directory, input.state) }),
    place: findings.place(path),
  };
  if (inbound.suite.esn && child.handling.replayWindow === 0)
    findings.refuse(
      "CONFIG_CONFLICT",
      [...path, "replay_window"],
      "extended sequence numbers need a window; leave it out or give 4096",
    );
  return { child, inlineKeys };
}

/** Whether a sequence number that comes twice repeats a nonce [ESP-20] [AH-17]. */
function repeatsGiveKeyAway({ encr, encrKeyBits, integ }: EspSuite): boolean {
  return encrAlgorithm(encr, encrKeyBits)?.needsUniqueIv === true || integIvLength(integ) > 0;
}

function inlineKeysOf(input: ManualInput, path: Path): Path[] {
  return (["out", "in"] as const).flatMap((side) =>
    (["key", "integrity_key"] as const)
      .filter((key) => input[side][key]?.isInline === true)
      .map((key) => [...path, side, key]),
  );
}

function singleAddress({ settings, path }: ManualSource, findings: Findings) {
  const only = settings.remote.address.length === 1 ? settings.remote.address[0] : undefined;
  if (only?.kind === "range" && compareIpAddress(only.range.start, only.range.end) === 0)
    return only.range.start;
  findings.refuse(
    "CONFIG_CONFLICT",
    path,
    "manual keys need one peer: remote.address has to be a single IP address",
    true,
  );
  return undefined;
}

function checkPeer({ remote }: ManualInput, peer: IpAddress, path: Path, findings: Findings): void {
  if (remote.some(({ addresses }) => compareIpAddress(addresses.start, peer) !== 0))
    findings.refuse(
      "CONFIG_SELECTOR",
      [...path, "remote"],
      `is not the peer's address ${formatIpAddress(peer)}; transport mode is between the two outer addresses alone`,
    );
}

function manualSa(input: ManualSaInput, path: Path, findings: Findings): ManualSa | undefined {
  if (input.ah !== undefined) return manualAh(input, path, findings);
  if (input.esp === undefined || input.key === undefined) {
    findings.refuse(
      "CONFIG_MISSING_KEY",
      path,
      input.esp === undefined
        ? "needs esp, for instance aes256gcm16, or ah, for instance sha256"
        : "needs key, the key of the cipher",
      true,
    );
    return undefined;
  }
  const suite = singleSuite(input.esp, path, findings);
  if (suite === undefined) return undefined;
  warnOfProposals([input.esp], [...path, "esp"], findings);
  const keys = manualKeys(suite, input, input.key.bytes, path, findings);
  return keys === undefined ? undefined : { spi: Spi(input.spi), suite, keys };
}

function singleSuite(
  { encr, integ, ke, esn }: ProposalSuite,
  path: Path,
  findings: Findings,
): EspSuite | undefined {
  const refuse = (message: string) => findings.refuse("CONFIG_PROPOSAL", [...path, "esp"], message);
  if (ke.length !== 1 || ke[0] !== KeyExchangeMethod.NONE) {
    refuse(`manual keys have no key exchange; leave ${transformKeyword(TransformType.KE, ke[0]!)} out`);
    return undefined;
  }
  if (encr.length !== 1 || integ.length > 1) {
    refuse("manual keys need exactly one cipher, and one integrity algorithm where the cipher takes one");
    return undefined;
  }
  return {
    encr: encr[0]!.id,
    encrKeyBits: encr[0]!.keyBits,
    integ: integ[0] ?? 0,
    esn: esn.length === 1 && esn[0] === Esn.YES,
  };
}

function manualKeys(
  suite: EspSuite,
  input: ManualSaInput,
  encrKey: Uint8Array,
  path: Path,
  findings: Findings,
): EspKeys | undefined {
  const encr = encrAlgorithm(suite.encr, suite.encrKeyBits);
  const integ = suite.integ === 0 ? undefined : integAlgorithm(suite.integ);
  const encrWord = transformKeyword(TransformType.ENCR, suite.encr, suite.encrKeyBits);
  const refuse = (key: string, message: string) =>
    findings.refuse("CONFIG_SECRET_MALFORMED", [...path, key], message);
  if (encr === undefined || encr.keyLength === 0 || (suite.integ !== 0 && integ === undefined)) {
    findings.refuse("CONFIG_PROPOSAL", [...path, "esp"], `${encrWord} is not supported with manual keys`);
    return undefined;
  }
  const integKey = input.integrity_key?.bytes ?? new Uint8Array(0);
  if (encrKey.length !== encr.keyLength) {
    const parts =
      encr.saltLength === 0
        ? ""
        : ` (${encr.keyLength - encr.saltLength} of key, then ${encr.saltLength} of salt)`;
    refuse("key", `${encrWord} takes ${encr.keyLength} octets${parts}; this key has ${encrKey.length}`);
    return undefined;
  }
  const integLength = integ?.keyLength ?? 0;
  if (integKey.length === integLength) return { encr: encrKey, integ: integKey };
  if (integ === undefined)
    refuse("integrity_key", `${encrWord} authenticates by itself; leave integrity_key out`);
  else {
    const word = transformKeyword(TransformType.INTEG, suite.integ);
    const has =
      integKey.length === 0 ? "integrity_key is missing" : `this integrity_key has ${integKey.length}`;
    refuse(integKey.length === 0 ? "esp" : "integrity_key", `${word} takes ${integLength} octets; ${has}`);
  }
  return undefined;
}
