/** The native engine with libipsec-mb, where its addon can be built. */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe } from "vitest";
import { CRYPTO_VARIABLE } from "../../../src/io/crypto-provider.ts";
import { addonPath } from "../../../src/io/native.ts";
import { nativeEngine } from "./native-engine.ts";

process.env[CRYPTO_VARIABLE] = "ipsec-mb";

const isBuilt = existsSync(join(dirname(addonPath()), "tungate_ipsec_mb.node"));
const { CI } = process.env;
if (!isBuilt && CI === "true" && process.arch === "x64")
  throw new Error("the addon for libipsec-mb is not built: install libipsec-mb-dev and run scripts/setup");
if (!isBuilt) console.warn("skipped: the addon for libipsec-mb is not built");

describe.skipIf(!isBuilt)("the native engine with libipsec-mb", () => nativeEngine("libipsec-mb"));
