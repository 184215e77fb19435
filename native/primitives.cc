// Hashes, HMAC and AES-GCM for messages of IKE: one call each, where node:crypto makes objects that cost several times what
// OpenSSL does for a few hundred octets.
#include <openssl/crypto.h>
#include <openssl/err.h>

#include <climits>
#include <cstring>
#include <memory>

#include "napi_args.h"
#include "openssl_context.h"
#include "state.h"

namespace tungate {

namespace {

constexpr size_t kPartsMax = 16;
constexpr size_t kBlockMax = 128;
constexpr size_t kNonceOctets = 12;
constexpr size_t kTagMin = 8;
constexpr size_t kTagMax = 16;

struct DigestDelete {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using DigestContext = std::unique_ptr<EVP_MD_CTX, DigestDelete>;

// By the number that native-primitives.ts has for it; null for none. Fetched once: that takes longer than a hash.
const EVP_MD* HashOf(uint32_t number) {
  static EVP_MD* const hashes[] = {
      EVP_MD_fetch(nullptr, "SHA1", nullptr), EVP_MD_fetch(nullptr, "SHA2-256", nullptr),
      EVP_MD_fetch(nullptr, "SHA2-384", nullptr), EVP_MD_fetch(nullptr, "SHA2-512", nullptr)};
  return number < 4 ? hashes[number] : nullptr;
}

const EVP_CIPHER* GcmOf(size_t key_octets) {
  static EVP_CIPHER* const ciphers[] = {EVP_CIPHER_fetch(nullptr, "AES-128-GCM", nullptr),
                                        EVP_CIPHER_fetch(nullptr, "AES-192-GCM", nullptr),
                                        EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr)};
  if (key_octets != 16 && key_octets != 24 && key_octets != 32) return nullptr;
  return ciphers[key_octets / 8 - 2];
}

// What is hashed, one piece after the other.
struct Parts {
  Octets octets[kPartsMax];
  uint32_t count = 0;

  bool Update(EVP_MD_CTX* context) const {
    for (uint32_t i = 0; i < count; i++)
      if (EVP_DigestUpdate(context, octets[i].data, octets[i].size) != 1) return false;
    return true;
  }
};

Parts PartsOf(Args& args, size_t i) {
  Parts parts;
  bool is_array = false;
  if (!args.ok()) return parts;
  if (napi_is_array(args.env(), args.value(i), &is_array) != napi_ok || !is_array ||
      napi_get_array_length(args.env(), args.value(i), &parts.count) != napi_ok || parts.count > kPartsMax) {
    args.TypeError("an argument is no array of so many");
    parts.count = 0;
  }
  for (uint32_t at = 0; at < parts.count; at++) {
    napi_value element = nullptr;
    napi_typedarray_type type = napi_int8_array;
    bool is_typed_array = false;
    Octets& part = parts.octets[at];
    void* data = nullptr;
    if (napi_get_element(args.env(), args.value(i), at, &element) != napi_ok ||
        napi_is_typedarray(args.env(), element, &is_typed_array) != napi_ok || !is_typed_array ||
        napi_get_typedarray_info(args.env(), element, &type, &part.size, &data, nullptr, nullptr) != napi_ok ||
        type != napi_uint8_array) {
      args.TypeError("an element is no Uint8Array");
      parts.count = 0;
      break;
    }
    part.data = static_cast<uint8_t*>(data);
  }
  return parts;
}

bool Digest(EVP_MD_CTX* context, const EVP_MD* hash, const Parts& parts, uint8_t* into) {
  return EVP_DigestInit_ex2(context, hash, nullptr) == 1 && parts.Update(context) &&
         EVP_DigestFinal_ex(context, into, nullptr) == 1;
}

// RFC 2104 section 2.
bool Hmac(EVP_MD_CTX* context, const EVP_MD* hash, const Octets& key, const Parts& parts, uint8_t* into) {
  const auto block_octets = static_cast<size_t>(EVP_MD_get_block_size(hash));
  const auto hash_octets = static_cast<size_t>(EVP_MD_get_size(hash));
  uint8_t block[kBlockMax] = {};
  uint8_t inner[EVP_MAX_MD_SIZE];
  bool is_made = block_octets <= kBlockMax;
  if (is_made && key.size > block_octets)
    is_made = EVP_Digest(key.data, key.size, block, nullptr, hash, nullptr) == 1;
  else if (is_made && key.size > 0)
    std::memcpy(block, key.data, key.size);
  if (is_made) {
    for (size_t i = 0; i < block_octets; i++) block[i] ^= 0x36;
    is_made = EVP_DigestInit_ex2(context, hash, nullptr) == 1 && EVP_DigestUpdate(context, block, block_octets) == 1 &&
              parts.Update(context) && EVP_DigestFinal_ex(context, inner, nullptr) == 1;
    for (size_t i = 0; i < block_octets; i++) block[i] ^= 0x36 ^ 0x5c;
    is_made = is_made && EVP_DigestInit_ex2(context, hash, nullptr) == 1 &&
              EVP_DigestUpdate(context, block, block_octets) == 1 &&
              EVP_DigestUpdate(context, inner, hash_octets) == 1 && EVP_DigestFinal_ex(context, into, nullptr) == 1;
  }
  OPENSSL_cleanse(block, sizeof block);
  OPENSSL_cleanse(inner, sizeof inner);
  return is_made;
}

void Check(Args& args, bool is_made) {
  if (is_made) return;
  // Node's own cryptography in this thread would take it for a failure of its own.
  ERR_clear_error();
  args.RangeError("OpenSSL refuses");
}

// [hash, parts, into]
napi_value DigestCall(napi_env env, napi_callback_info info) {
  Args args(env, info, 3);
  const EVP_MD* hash = HashOf(args.Uint32(0));
  const Parts parts = PartsOf(args, 1);
  const Octets into = args.Uint8Array(2);
  if (args.ok() && (hash == nullptr || into.size != static_cast<size_t>(EVP_MD_get_size(hash))))
    args.RangeError("no hash has this number and length");
  if (!args.ok()) return nullptr;
  const DigestContext context(EVP_MD_CTX_new());
  Check(args, context != nullptr && Digest(context.get(), hash, parts, into.data));
  return nullptr;
}

// [hash, key, parts, into]
napi_value HmacCall(napi_env env, napi_callback_info info) {
  Args args(env, info, 4);
  const EVP_MD* hash = HashOf(args.Uint32(0));
  const Octets key = args.Uint8Array(1);
  const Parts parts = PartsOf(args, 2);
  const Octets into = args.Uint8Array(3);
  if (args.ok() && (hash == nullptr || into.size != static_cast<size_t>(EVP_MD_get_size(hash))))
    args.RangeError("no hash has this number and length");
  if (!args.ok()) return nullptr;
  const DigestContext context(EVP_MD_CTX_new());
  Check(args, context != nullptr && Hmac(context.get(), hash, key, parts, into.data));
  return nullptr;
}

// Nonce and tag as IKE has them, and lengths that OpenSSL can count.
bool FitsGcm(const Octets& nonce, const Octets& aad, size_t plain, size_t sealed) {
  const size_t tag = sealed - plain;
  return nonce.size == kNonceOctets && plain <= sealed && tag >= kTagMin && tag <= kTagMax && sealed <= INT_MAX &&
         aad.size <= INT_MAX;
}

// An empty array may have no address.
const uint8_t* Address(const Octets& octets) {
  static const uint8_t kNothing = 0;
  return octets.data == nullptr ? &kNothing : octets.data;
}

bool Process(EVP_CIPHER_CTX* context, const Octets& aad, const uint8_t* from, uint8_t* to, size_t length) {
  int done = 0;
  if (aad.size > 0 &&
      EVP_CipherUpdate(context, nullptr, &done, aad.data, static_cast<int>(aad.size)) != 1)
    return false;
  return length == 0 || EVP_CipherUpdate(context, to, &done, from, static_cast<int>(length)) == 1;
}

// [key, nonce, aad, plaintext, into] `into` is longer by the tag.
napi_value SealCall(napi_env env, napi_callback_info info) {
  Args args(env, info, 5);
  const Octets key = args.Uint8Array(0);
  const Octets nonce = args.Uint8Array(1);
  const Octets aad = args.Uint8Array(2);
  const Octets plaintext = args.Uint8Array(3);
  const Octets into = args.Uint8Array(4);
  const EVP_CIPHER* cipher = GcmOf(key.size);
  if (args.ok() && (cipher == nullptr || !FitsGcm(nonce, aad, plaintext.size, into.size)))
    args.RangeError("key, nonce or tag has a length that AES-GCM does not take here");
  if (!args.ok()) return nullptr;
  const CipherContext context(EVP_CIPHER_CTX_new());
  uint8_t* tag = into.data + plaintext.size;
  int done = 0;
  Check(args, context != nullptr &&
                  EVP_CipherInit_ex2(context.get(), cipher, key.data, nonce.data, 1, nullptr) == 1 &&
                  Process(context.get(), aad, Address(plaintext), into.data, plaintext.size) &&
                  EVP_CipherFinal_ex(context.get(), tag, &done) == 1 &&
                  EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG,
                                      static_cast<int>(into.size - plaintext.size), tag) == 1);
  return nullptr;
}

// [key, nonce, aad, sealed, into] `into` is shorter by the tag; false, and nothing in it, when the tag is wrong.
napi_value OpenCall(napi_env env, napi_callback_info info) {
  Args args(env, info, 5);
  const Octets key = args.Uint8Array(0);
  const Octets nonce = args.Uint8Array(1);
  const Octets aad = args.Uint8Array(2);
  const Octets sealed = args.Uint8Array(3);
  const Octets into = args.Uint8Array(4);
  const EVP_CIPHER* cipher = GcmOf(key.size);
  if (args.ok() && (cipher == nullptr || !FitsGcm(nonce, aad, into.size, sealed.size)))
    args.RangeError("key, nonce or tag has a length that AES-GCM does not take here");
  if (!args.ok()) return nullptr;
  const CipherContext context(EVP_CIPHER_CTX_new());
  uint8_t tag[kTagMax];
  const size_t tag_octets = sealed.size - into.size;
  std::memcpy(tag, sealed.data + into.size, tag_octets);
  uint8_t rest[kTagMax];
  int done = 0;
  const bool is_authentic =
      context != nullptr && EVP_CipherInit_ex2(context.get(), cipher, key.data, nonce.data, 0, nullptr) == 1 &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, static_cast<int>(tag_octets), tag) == 1 &&
      Process(context.get(), aad, sealed.data, into.data, into.size) &&
      EVP_CipherFinal_ex(context.get(), rest, &done) == 1;
  if (!is_authentic) {
    ERR_clear_error();
    if (into.size > 0) OPENSSL_cleanse(into.data, into.size);
  }
  napi_value result = nullptr;
  napi_get_boolean(env, is_authentic, &result);
  return result;
}

}  // namespace

void DefinePrimitives(napi_env env, napi_value exports) {
  Define(env, exports, "digest", DigestCall);
  Define(env, exports, "hmac", HmacCall);
  Define(env, exports, "sealGcm", SealCall);
  Define(env, exports, "openGcm", OpenCall);
}

}  // namespace tungate
