// The addon's entry: per-environment state, the exported functions, and the layout constants for comparison.
#include <node_api.h>

#include "addon_sources.h"
#include "batch.h"
#include "esp_transform.h"
#include "napi_args.h"
#include "sa_table.h"
#include "state.h"

namespace tungate {

void Define(napi_env env, napi_value exports, const char* name, Callback callback) {
  napi_value function = nullptr;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function);
  SetProperty(env, exports, name, function);
}

namespace {

struct Constant {
  const char* name;
  size_t value;
};

template <size_t N>
void AddGroup(napi_env env, napi_value layout, const char* name, const Constant (&constants)[N]) {
  napi_value group = nullptr;
  napi_create_object(env, &group);
  for (const Constant& constant : constants)
    SetProperty(env, group, constant.name, Number(env, static_cast<double>(constant.value)));
  SetProperty(env, layout, name, group);
}

napi_value Layout(napi_env env) {
  using namespace sa_table;
  napi_value layout = nullptr;
  napi_create_object(env, &layout);
  AddGroup(env, layout, "table", {{"magic", kMagic}, {"layoutVersion", kLayoutVersion}});
  AddGroup(env, layout, "header",
           {{"MAGIC", kHeaderMagic},
            {"LAYOUT_VERSION", kHeaderLayoutVersion},
            {"SLOT_COUNT", kHeaderSlotCount},
            {"ENDPOINT_COUNT", kHeaderEndpointCount},
            {"POLICY_COUNT", kHeaderPolicyCount},
            {"INDEX_CAPACITY", kHeaderIndexCapacity},
            {"SIZE", kHeaderSize}});
  AddGroup(env, layout, "stride",
           {{"index", kIndexEntryStride},
            {"policy", kPolicyStride},
            {"endpoint", kEndpointStride},
            {"slot", kSlotStride},
            {"meta", kMetaStride}});
  AddGroup(env, layout, "endpoint",
           {{"REMOTE_ADDRESS", kEndpointRemoteAddress},
            {"LOCAL_ADDRESS", kEndpointLocalAddress},
            {"REMOTE_PORT", kEndpointRemotePort},
            {"LOCAL_PORT", kEndpointLocalPort},
            {"FAMILY", kEndpointFamily},
            {"ENCAPSULATION", kEndpointEncapsulation},
            {"STRIDE", kEndpointStride}});
  AddGroup(env, layout, "slot",
           {{"STATE", kSlotState},
            {"SPI", kSlotSpi},
            {"DIRECTION", kSlotDirection},
            {"ESN", kSlotEsn},
            {"ENCR", kSlotEncr},
            {"ENCR_KEY_BITS", kSlotEncrKeyBits},
            {"INTEG", kSlotInteg},
            {"IV_LENGTH", kSlotIvLength},
            {"ICV_LENGTH", kSlotIcvLength},
            {"BLOCK_SIZE", kSlotBlockSize},
            {"KEY_GENERATION", kSlotKeyGeneration},
            {"SEQUENCE", kSlotSequence},
            {"SEQUENCE_LIMIT", kSlotSequenceLimit},
            {"STRIDE", kSlotStride}});
  AddGroup(env, layout, "meta",
           {{"REMOTE_ADDRESS", kMetaRemoteAddress},
            {"LOCAL_ADDRESS", kMetaLocalAddress},
            {"REMOTE_PORT", kMetaRemotePort},
            {"LOCAL_PORT", kMetaLocalPort},
            {"FAMILY", kMetaFamily},
            {"TOS", kMetaTos},
            {"INTERFACE", kMetaInterface}});
  AddGroup(env, layout, "status",
           {{"OK", kPacketOk},
            {"NOT_AUTHENTIC", kPacketNotAuthentic},
            {"SEQUENCE_EXHAUSTED", kPacketSequenceExhausted},
            {"BAD_LENGTH", kPacketBadLength},
            {"NO_KEY", kPacketNoKey},
            {"TOO_BIG", kPacketTooBig},
            {"NOT_SENT", kPacketNotSent}});
  AddGroup(env, layout, "batch",
           {{"READ_MORE", kReadMore},
            {"RECEIVE_STRIDE", kReceiveStride},
            {"RECEIVE_RUN_MAX", kReceiveRunMax},
            {"FRAME_SEGMENTS_MAX", kFrameSegmentsMax},
            {"FRAME_OCTETS_MAX", kFrameOctetsMax}});
  AddGroup(env, layout, "transform",
           {{"ENCR_DES3", kEncrDes3},
            {"ENCR_NULL", kEncrNull},
            {"ENCR_AES_CBC", kEncrAesCbc},
            {"ENCR_AES_CTR", kEncrAesCtr},
            {"ENCR_AES_CCM_8", kEncrAesCcm8},
            {"ENCR_AES_CCM_12", kEncrAesCcm12},
            {"ENCR_AES_CCM_16", kEncrAesCcm16},
            {"ENCR_AES_GCM_8", kEncrAesGcm8},
            {"ENCR_AES_GCM_12", kEncrAesGcm12},
            {"ENCR_AES_GCM_16", kEncrAesGcm16},
            {"ENCR_NULL_AUTH_AES_GMAC", kEncrNullAuthAesGmac},
            {"ENCR_CHACHA20_POLY1305", kEncrChaCha20Poly1305},
            {"ENCR_AES_CCM_8_IIV", kEncrAesCcm8Iiv},
            {"ENCR_AES_GCM_16_IIV", kEncrAesGcm16Iiv},
            {"ENCR_CHACHA20_POLY1305_IIV", kEncrChaCha20Poly1305Iiv},
            {"INTEG_HMAC_SHA1_96", kIntegHmacSha1_96},
            {"INTEG_AES_XCBC_96", kIntegAesXcbc96},
            {"INTEG_AES_CMAC_96", kIntegAesCmac96},
            {"INTEG_AES_128_GMAC", kIntegAes128Gmac},
            {"INTEG_AES_192_GMAC", kIntegAes192Gmac},
            {"INTEG_AES_256_GMAC", kIntegAes256Gmac},
            {"INTEG_HMAC_SHA2_256_128", kIntegHmacSha2_256_128},
            {"INTEG_HMAC_SHA2_384_192", kIntegHmacSha2_384_192},
            {"INTEG_HMAC_SHA2_512_256", kIntegHmacSha2_512_256}});
  return layout;
}

napi_value Init(napi_env env, napi_value exports) {
  auto* state = new State();
  napi_set_instance_data(env, state, nullptr, nullptr);
  // References to arrays can still be given back in a cleanup hook, but no longer when instance data is finalized.
  napi_add_env_cleanup_hook(env, [](void* data) { delete static_cast<State*>(data); }, state);
  napi_value sources = nullptr;
  napi_create_string_utf8(env, TUNGATE_ADDON_SOURCES_TEXT, NAPI_AUTO_LENGTH, &sources);
  SetProperty(env, exports, "sources", sources);
  SetProperty(env, exports, "layout", Layout(env));
  DefineBatch(env, exports);
  DefineErrorQueue(env, exports);
  DefineEspEngine(env, exports);
  DefineKeyStore(env, exports);
  DefineMemfd(env, exports);
  DefineMlKem(env, exports);
  DefineMontgomery(env, exports);
  DefineNetlink(env, exports);
  DefinePacketIo(env, exports);
  DefinePrimitives(env, exports);
  DefineProcess(env, exports);
  DefineRaw(env, exports);
  DefineReadiness(env, exports);
  DefineSdNotify(env, exports);
  DefineSteering(env, exports);
  DefineTun(env, exports);
  DefineUdp(env, exports);
  DefineWait(env, exports);
  return exports;
}

}  // namespace

}  // namespace tungate

NAPI_MODULE_INIT() { return tungate::Init(env, exports); }
