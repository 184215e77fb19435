// The second addon: Intel's Multi-Buffer Crypto for IPsec as a provider of ESP's cryptography.
#include <intel-ipsec-mb.h>
#include <node_api.h>

#include "../esp_provider.h"
#include "addon_sources.h"
#include "direct_cipher.h"
#include "job_cipher.h"

namespace tungate {

namespace {

// Structures are compiled in, so that nothing but the header's own version fits.
bool IsSameVersion() { return imb_get_version() == IMB_VERSION_NUM; }

void* OpenLane() {
  if (!IsSameVersion()) return nullptr;
  IMB_MGR* manager = alloc_mb_mgr(0);
  if (manager == nullptr) return nullptr;
  init_mb_mgr_auto(manager, nullptr);
  if (imb_get_errno(manager) == 0) return manager;
  free_mb_mgr(manager);
  return nullptr;
}

void CloseLane(void* lane) { free_mb_mgr(static_cast<IMB_MGR*>(lane)); }

// All that the library has.
EspCipher* MakeAny(void* lane, const SlotKeys& keys, const EspShape& shape) {
  auto* manager = static_cast<IMB_MGR*>(lane);
  switch (shape.encr->mode) {
    case CipherMode::kAesGcm:
      return MakeGcmCipher(manager, keys, shape);
    case CipherMode::kAesGmac:
      return MakeGmacCipher(manager, keys, shape);
    case CipherMode::kChaCha20Poly1305:
      return MakeChaChaCipher(manager, keys, shape);
    default:
      return MakeSingleJobCipher(manager, keys, shape);
  }
}

// What its hashes and chained modes want.
EspManyCipher* MakeMany(void* lane, const SlotKeys& keys, const EspShape& shape) {
  return MakeManyJobCipher(static_cast<IMB_MGR*>(lane), keys, shape);
}

// What it does faster than OpenSSL one packet at a time; its ChaCha20 wants wide registers.
EspCipher* MakeFaster(void* lane, const SlotKeys& keys, const EspShape& shape) {
  const uint32_t architecture = static_cast<IMB_MGR*>(lane)->used_arch;
  switch (shape.encr->mode) {
    case CipherMode::kAesGcm:
    case CipherMode::kAesGmac:
      return MakeAny(lane, keys, shape);
    case CipherMode::kChaCha20Poly1305:
      return architecture == IMB_ARCH_AVX2 || architecture == IMB_ARCH_AVX512 ? MakeAny(lane, keys, shape) : nullptr;
    default:
      return nullptr;
  }
}

constexpr EspProvider kProvider = {TUNGATE_ADDON_SOURCES, OpenLane, CloseLane, MakeFaster, MakeMany};
constexpr EspProvider kCompleteProvider = {TUNGATE_ADDON_SOURCES, OpenLane, CloseLane, MakeAny, MakeMany};

// What the library chose for this processor; null when it has nothing for it.
const char* ArchitectureName() {
  IMB_MGR* manager = static_cast<IMB_MGR*>(OpenLane());
  if (manager == nullptr) return nullptr;
  const uint32_t architecture = manager->used_arch;
  CloseLane(manager);
  switch (architecture) {
    case IMB_ARCH_SSE:
      return "sse";
    case IMB_ARCH_AVX:
      return "avx";
    case IMB_ARCH_AVX2:
      return "avx2";
    case IMB_ARCH_AVX512:
      return "avx512";
    default:
      return nullptr;
  }
}

void SetText(napi_env env, napi_value object, const char* name, const char* text) {
  napi_value value = nullptr;
  if (napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value) == napi_ok)
    napi_set_named_property(env, object, name, value);
}

void SetProvider(napi_env env, napi_value object, const char* name, const EspProvider& provider) {
  napi_value value = nullptr;
  if (napi_create_external(env, const_cast<EspProvider*>(&provider), nullptr, nullptr, &value) == napi_ok)
    napi_set_named_property(env, object, name, value);
}

}  // namespace

}  // namespace tungate

// Exports: headerVersion; libraryVersion; architecture and both providers only where the library can be used.
NAPI_MODULE_INIT() {
  using namespace tungate;
  SetText(env, exports, "headerVersion", IMB_VERSION_STR);
  SetText(env, exports, "libraryVersion", imb_get_version_str());
  const char* architecture = ArchitectureName();
  if (architecture == nullptr) return exports;
  SetText(env, exports, "architecture", architecture);
  SetProvider(env, exports, "provider", kProvider);
  SetProvider(env, exports, "completeProvider", kCompleteProvider);
  return exports;
}
