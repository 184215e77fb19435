/**
 * Who does ESP's cryptography in this process: our own code AES-GCM where the processor has VAES and no library makes more
 * of it, then libipsec-mb where its addon is built and fits, then Node's OpenSSL.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { addonPath, type CryptoProviderHandle, isAddonBuilt, loadAddon } from "./native.ts";

/** `openssl`, `ipsec-mb` for all that it has, or `vaes` for our own code and OpenSSL; else the fastest for each SA. */
export const CRYPTO_VARIABLE = "TUNGATE_CRYPTO";

export interface CryptoProvider {
  /** As `tungate status` says it: `VAES, libipsec-mb 1.3.0 (avx2)`, `OpenSSL 3.0.15 of Node`. */
  readonly name: string;
  /** Why it is not libipsec-mb although it could be or was asked for: a sentence for the log. */
  readonly problem?: string;
}

/** What the second addon exports. */
export interface IpsecMbAddon {
  /** Of the header that it was built with, and of the library that it found now: `1.3.0`. */
  readonly headerVersion: string;
  readonly libraryVersion: string;
  /** Absent where the library has nothing for this processor, or has another version. */
  readonly architecture?: string;
  /** Does what it does faster than OpenSSL. */
  readonly provider?: CryptoProviderHandle;
  /** Does everything that it can. */
  readonly completeProvider?: CryptoProviderHandle;
}

/** What the choice is made of, so that it can be tried without a machine. */
export interface CryptoChoice {
  /** Of {@link CRYPTO_VARIABLE}. */
  readonly wanted: string | undefined;
  readonly openssl: string;
  /** Whether our own code runs on this processor. */
  readonly hasVaes: boolean;
  /** Whether there is an addon for libipsec-mb. */
  readonly isBuilt: boolean;
  /** Loads it; throws what the loader says. */
  readonly load: () => IpsecMbAddon;
}

export interface ChosenCrypto extends CryptoProvider {
  /** For the addon when libipsec-mb takes part. */
  readonly handle?: CryptoProviderHandle;
  readonly usesVaes?: boolean;
}

/** With registers of 512 bits the library does twice as much at once as our own code. */
const BETTER_THAN_VAES = "avx512";
const VAES = "VAES";

export function chooseCrypto(choice: CryptoChoice): ChosenCrypto {
  if (choice.wanted === "vaes") {
    const openssl = chooseLibrary({ ...choice, wanted: "openssl" });
    if (choice.hasVaes) return { name: `${VAES}, ${openssl.name}`, usesVaes: true };
    return { ...openssl, problem: `this processor has no VAES; ESP is done by ${openssl.name}` };
  }
  const library = chooseLibrary(choice);
  const isFree = choice.wanted === undefined || choice.wanted === "";
  if (!isFree || !choice.hasVaes || library.architecture === BETTER_THAN_VAES) return chosen(library);
  return { ...chosen(library), name: `${VAES}, ${library.name}`, usesVaes: true };
}

type Library = ChosenCrypto & { readonly architecture?: string };

function chosen({ architecture, ...library }: Library): ChosenCrypto {
  return library;
}

function chooseLibrary(choice: CryptoChoice): Library {
  const name = `OpenSSL ${choice.openssl} of Node`;
  const without = (reason: string) => ({ name, problem: `${reason}; ESP is done by ${name}` });
  if (choice.wanted === "openssl") return { name };
  const isAsked = choice.wanted === "ipsec-mb";
  if (choice.wanted !== undefined && choice.wanted !== "" && !isAsked)
    return without(`${CRYPTO_VARIABLE}=${choice.wanted} names nothing, write openssl, ipsec-mb or vaes`);
  if (!choice.isBuilt)
    return isAsked
      ? without("the addon for libipsec-mb is not built; install libipsec-mb-dev and run scripts/setup")
      : { name };
  let addon: IpsecMbAddon;
  try {
    addon = choice.load();
  } catch (error) {
    return without(`libipsec-mb does not load: ${error instanceof Error ? error.message : String(error)}`);
  }
  const { headerVersion, libraryVersion, architecture } = addon;
  const provider = isAsked ? addon.completeProvider : addon.provider;
  if (headerVersion !== libraryVersion)
    return without(
      `libipsec-mb is ${libraryVersion}, and its addon was built for ${headerVersion}; run scripts/setup to build it again`,
    );
  if (architecture === undefined || provider === undefined)
    return without("libipsec-mb has nothing for this processor");
  return { name: `libipsec-mb ${libraryVersion} (${architecture})`, handle: provider, architecture };
}

let selected: CryptoProvider | undefined;

/** Chooses at the first call of a thread, which has an addon of its own, and tells that addon; every thread comes to the same. */
export function cryptoProvider(): CryptoProvider {
  if (selected !== undefined) return selected;
  const path = join(dirname(addonPath()), "tungate_ipsec_mb.node");
  const {
    handle,
    usesVaes = false,
    ...provider
  } = chooseCrypto({
    wanted: process.env[CRYPTO_VARIABLE],
    openssl: process.versions.openssl,
    hasVaes: isAddonBuilt() && loadAddon().hasVaes(),
    isBuilt: existsSync(path),
    load: () => createRequire(import.meta.url)(path) as IpsecMbAddon,
  });
  selected = provider;
  if (isAddonBuilt() && loadAddon().useProvider(handle, usesVaes) < 0) {
    const name = `OpenSSL ${process.versions.openssl} of Node`;
    selected = {
      name,
      problem: `the addon for libipsec-mb is of another build than the main one, run scripts/setup; ESP is done by ${name}`,
    };
  }
  return selected;
}
