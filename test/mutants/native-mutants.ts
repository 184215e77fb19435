/** Bugs of the addon worth fearing, and the tests that must notice them. */
import type { Mutant } from "./mutants.ts";

const OFFLOAD_TESTS = "test/unit/io/native-offload.test.ts";
const ENGINE_TESTS = "test/unit/io/native-esp-engine.test.ts";

export const NATIVE_MUTANTS: readonly Mutant[] = [
  {
    bug: "a damaged segment is merged, and gets a checksum that is right",
    file: "native/tun_coalesce.cc",
    find: "transport.PseudoHeader(packet, length), header, length - transport.ip_header)) == 0xffff;",
    replace: "transport.PseudoHeader(packet, length), header, length - transport.ip_header)) != 0;",
    test: OFFLOAD_TESTS,
    killedBy: "a damaged segment stays damaged and alone",
  },
  {
    bug: "segments are merged over a gap",
    file: "native/tun_coalesce.cc",
    find: "Load32(theirs + 4) == next_sequence && ",
    replace: "",
    test: OFFLOAD_TESTS,
    killedBy: "not merged with a segment that differs in { sequence: 2001 }",
  },
  {
    bug: "congestion marks get lost where segments are merged",
    file: "native/tun_coalesce.cc",
    find: "packet[1] != first[1] || ",
    replace: "",
    test: OFFLOAD_TESTS,
    killedBy: "IPv4: not merged with a segment that differs in { tos: 3 }",
  },
  {
    bug: "every segment of a superpacket ends the stream",
    file: "native/tun_segment.cc",
    find: "if (from + payload < length_) transport[13] &= static_cast<uint8_t>(~(kTcpFin | kTcpPsh));",
    replace: "",
    test: ENGINE_TESTS,
    killedBy: "is cut as a network card would, one number for each segment",
  },
  {
    bug: "a datagram joins the run to another peer",
    file: "native/packet_io_send.cc",
    find: "run.endpoint != batch.endpoint[i] || ",
    replace: "",
    test: "test/unit/io/native-socket.test.ts",
    killedBy: "a run ends where endpoint or traffic class change",
  },
  {
    bug: "sequence numbers go on behind their limit",
    file: "native/esp_engine.cc",
    find: "count = std::min<uint64_t>(wanted, limit - last);",
    replace: "count = wanted;",
    test: ENGINE_TESTS,
    killedBy: "[ESP-03]",
  },
  {
    bug: "two packets get one number",
    file: "native/esp_engine.cc",
    find: "while (!counter.compare_exchange_weak(last, last + count,",
    replace: "while (!counter.compare_exchange_weak(last, last + count - (count > 1 ? 1 : 0),",
    test: ENGINE_TESTS,
    killedBy: "[ESP-03] a superpacket is cut short at the limit",
  },
  {
    bug: "what is not authentic leaves its plaintext in the arena",
    file: "native/esp_engine.cc",
    find: "    OPENSSL_cleanse(work.esp, front + work.length + context.icv_length());\n",
    replace: "",
    test: ENGINE_TESTS,
    killedBy: "a change of any octet leaves zeros",
  },
  {
    bug: "an implicit IV takes in a high half that the SA does not have",
    file: "native/esp_shape.h",
    find: "WriteBig32(iv, esn ? sequence_high : 0);",
    replace: "WriteBig32(iv, sequence_high);",
    test: ENGINE_TESTS,
    killedBy: "'AES-GCM-16 256 implicit IV': without ESN the high half means nothing",
  },
  {
    bug: "GMAC leaves the last octets of the payload out",
    file: "native/esp_openssl.cc",
    find: "const int covered = static_cast<int>(shape_.encr->iv_length + length);",
    replace: "const int covered = static_cast<int>(length);",
    test: ENGINE_TESTS,
    killedBy: "'AES-GMAC 128': a change of any octet leaves zeros",
  },
  {
    bug: "the last octet of a check value is not compared",
    file: "native/esp_openssl.cc",
    find: "CRYPTO_memcmp(full, shape_.data(esp) + length, shape_.icv_length) == 0;",
    replace: "CRYPTO_memcmp(full, shape_.data(esp) + length, shape_.icv_length - 1) == 0;",
    test: ENGINE_TESTS,
    killedBy: "'AES-CTR 128 AES-XCBC': a change of any octet leaves zeros",
  },
  {
    bug: "of packets that are opened side by side the check values are not compared",
    file: "native/ipsec_mb/job_cipher.cc",
    find: "CRYPTO_memcmp(scratch_[i].icv, scratch_[i].sent, shape_.icv_length) == 0;",
    replace: "CRYPTO_memcmp(scratch_[i].icv, scratch_[i].sent, 0) == 0;",
    test: "test/unit/io/native-ipsec-mb.test.ts",
    killedBy: "forged ones among many",
  },
];
