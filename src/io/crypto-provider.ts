/** Which library does ESP's cryptography in this process: libipsec-mb where its addon is built and fits, else Node's OpenSSL. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { addonPath, type CryptoProviderHandle, isAddonBuilt, loadAddon } from "./native.ts";

/** `openssl`, or `ipsec-mb` for all that it has, instead of the fastest of both for each SA. */
export const CRYPTO_VARIABLE = "TUNGATE_CRYPTO";

export interface CryptoProvider {
  /** As `tungate status` says it: `libipsec-mb 1.3.0 (avx2)`, `OpenSSL 3.0.15 of Node`. */
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
  /** Whether there is an addon for libipsec-mb. */
  readonly isBuilt: boolean;
  /** Loads it; throws what the loader says. */
  readonly load: () => IpsecMbAddon;
}

/** The provider to use, and the handle for the addon when it is libipsec-mb. */
export function chooseCrypto(
  choice: CryptoChoice,
): CryptoProvider & { readonly handle?: CryptoProviderHandle } {
  const name = `OpenSSL ${choice.openssl} of Node`;
  const without = (reason: string) => ({ name, problem: `${reason}; ESP is done by ${name}` });
  if (choice.wanted === "openssl") return { name };
  const isAsked = choice.wanted === "ipsec-mb";
  if (choice.wanted !== undefined && choice.wanted !== "" && !isAsked)
    return without(`${CRYPTO_VARIABLE}=${choice.wanted} names nothing, write openssl or ipsec-mb`);
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
  return { name: `libipsec-mb ${libraryVersion} (${architecture})`, handle: provider };
}

let selected: CryptoProvider | undefined;

/** Chooses at the first call of a thread, which has an addon of its own, and tells that addon; every thread comes to the same. */
export function cryptoProvider(): CryptoProvider {
  if (selected !== undefined) return selected;
  const path = join(dirname(addonPath()), "tungate_ipsec_mb.node");
  const { handle, ...provider } = chooseCrypto({
    wanted: process.env[CRYPTO_VARIABLE],
    openssl: process.versions.openssl,
    isBuilt: existsSync(path),
    load: () => createRequire(import.meta.url)(path) as IpsecMbAddon,
  });
  selected = provider;
  if (isAddonBuilt() && loadAddon().useProvider(handle) < 0) {
    const name = `OpenSSL ${process.versions.openssl} of Node`;
    selected = {
      name,
      problem: `the addon for libipsec-mb is of another build than the main one, run scripts/setup; ESP is done by ${name}`,
    };
  }
  return selected;
}
