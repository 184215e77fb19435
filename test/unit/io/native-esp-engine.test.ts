/** The native engine with the OpenSSL inside Node. */
import { CRYPTO_VARIABLE } from "../../../src/io/crypto-provider.ts";
import { describeNative } from "./native-addon.ts";
import { nativeEngine } from "./native-engine.ts";

process.env[CRYPTO_VARIABLE] = "openssl";

describeNative("the native engine with OpenSSL", () => nativeEngine("OpenSSL"));
