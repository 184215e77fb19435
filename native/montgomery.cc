// X25519 and X448 (RFC 7748) on raw octets. Node.js takes private keys in DER alone, and reading that takes OpenSSL 3.0
// twenty times as long as the computation.
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <memory>

#include "napi_args.h"
#include "state.h"

namespace tungate {

namespace {

struct KeyDeleter {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using Key = std::unique_ptr<EVP_PKEY, KeyDeleter>;

struct ContextDeleter {
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
};

constexpr size_t kX25519Octets = 32;
constexpr size_t kX448Octets = 56;

// The curve that has values of this length; 0 for none.
int CurveOf(size_t octets) {
  if (octets == kX25519Octets) return EVP_PKEY_X25519;
  return octets == kX448Octets ? EVP_PKEY_X448 : 0;
}

// A private key for a key exchange and nothing else. Given the scalar alone OpenSSL computes the public value, which takes as
// long as the exchange and is not asked for: zeros stand in its place.
Key ForExchange(int curve, const Octets& scalar) {
  const std::unique_ptr<EVP_PKEY_CTX, ContextDeleter> context(EVP_PKEY_CTX_new_id(curve, nullptr));
  uint8_t none[kX448Octets] = {};
  const OSSL_PARAM parts[] = {
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, scalar.data, scalar.size),
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, none, scalar.size),
      OSSL_PARAM_construct_end(),
  };
  EVP_PKEY* key = nullptr;
  if (context == nullptr || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_KEYPAIR, const_cast<OSSL_PARAM*>(parts)) != 1)
    return nullptr;
  return Key(key);
}

// [scalar, into] The curve is the one whose values are as long as these. Throws when OpenSSL cannot.
napi_value PublicValue(napi_env env, napi_callback_info info) {
  Args args(env, info, 2);
  const Octets scalar = args.Uint8Array(0);
  const Octets into = args.Uint8Array(1);
  const int curve = CurveOf(scalar.size);
  if (args.ok() && (curve == 0 || into.size != scalar.size)) args.RangeError("no curve has values of this length");
  if (!args.ok()) return nullptr;
  const Key key(EVP_PKEY_new_raw_private_key(curve, nullptr, scalar.data, scalar.size));
  size_t length = into.size;
  if (key == nullptr || EVP_PKEY_get_raw_public_key(key.get(), into.data, &length) != 1 || length != into.size) {
    ERR_clear_error();
    args.RangeError("OpenSSL made no public value");
  }
  return nullptr;
}

// [scalar, peer, into] false where the secret would be zero, and for a peer's value that is none.
napi_value SharedSecret(napi_env env, napi_callback_info info) {
  Args args(env, info, 3);
  const Octets scalar = args.Uint8Array(0);
  const Octets peer = args.Uint8Array(1);
  const Octets into = args.Uint8Array(2);
  const int curve = CurveOf(scalar.size);
  if (args.ok() && (curve == 0 || peer.size != scalar.size || into.size != scalar.size))
    args.RangeError("no curve has values of this length");
  if (!args.ok()) return nullptr;
  const Key own = ForExchange(curve, scalar);
  const Key other(EVP_PKEY_new_raw_public_key(curve, nullptr, peer.data, peer.size));
  const std::unique_ptr<EVP_PKEY_CTX, ContextDeleter> context(
      own == nullptr ? nullptr : EVP_PKEY_CTX_new(own.get(), nullptr));
  size_t length = into.size;
  const bool is_made = context != nullptr && other != nullptr && EVP_PKEY_derive_init(context.get()) == 1 &&
                       EVP_PKEY_derive_set_peer(context.get(), other.get()) == 1 &&
                       EVP_PKEY_derive(context.get(), into.data, &length) == 1 && length == into.size;
  // Node's own cryptography in this thread takes what OpenSSL noted about a stranger's value for a failure of its own.
  if (!is_made) ERR_clear_error();
  napi_value result = nullptr;
  napi_get_boolean(env, is_made, &result);
  return result;
}

}  // namespace

void DefineMontgomery(napi_env env, napi_value exports) {
  Define(env, exports, "montgomeryPublicValue", PublicValue);
  Define(env, exports, "montgomerySharedSecret", SharedSecret);
}

}  // namespace tungate
