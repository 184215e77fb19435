// Calls of ML-KEM; lengths name the parameter set.
#include <openssl/err.h>

#include "ml_kem.h"
#include "napi_args.h"
#include "state.h"

namespace tungate {

namespace {

using Length = size_t (MlKemSet::*)() const;

// The set whose values are as long as these; null, with an exception pending, for none.
const MlKemSet* SetOf(Args& args, Length first_length, const Octets& first, Length second_length, const Octets& second,
                      const Octets& fixed, size_t fixed_octets) {
  if (!args.ok()) return nullptr;
  for (const MlKemSet& set : kMlKemSets)
    if ((set.*first_length)() == first.size && (set.*second_length)() == second.size && fixed.size == fixed_octets)
      return &set;
  args.RangeError("ML-KEM has no values of these lengths");
  return nullptr;
}

// Throws for a failure of OpenSSL.
bool Check(Args& args, MlKemResult result) {
  if (result == MlKemResult::kFailed) {
    ERR_clear_error();
    args.RangeError("OpenSSL refuses SHA-3");
  }
  return result == MlKemResult::kDone;
}

// [seed, encapsulation key, decapsulation key]
napi_value KeyPairCall(napi_env env, napi_callback_info info) {
  Args args(env, info, 3);
  const Octets seed = args.Uint8Array(0);
  const Octets encapsulation_key = args.Uint8Array(1);
  const Octets decapsulation_key = args.Uint8Array(2);
  const MlKemSet* set = SetOf(args, &MlKemSet::EncapsulationKeyOctets, encapsulation_key,
                              &MlKemSet::DecapsulationKeyOctets, decapsulation_key, seed, kMlKemSeedOctets);
  if (set != nullptr) Check(args, MlKemKeyPair(*set, seed.data, encapsulation_key.data, decapsulation_key.data));
  return nullptr;
}

// [encapsulation key, message, ciphertext, secret] false for a key that is none.
napi_value EncapsulateCall(napi_env env, napi_callback_info info) {
  Args args(env, info, 4);
  const Octets encapsulation_key = args.Uint8Array(0);
  const Octets message = args.Uint8Array(1);
  const Octets ciphertext = args.Uint8Array(2);
  const Octets secret = args.Uint8Array(3);
  const MlKemSet* set = SetOf(args, &MlKemSet::EncapsulationKeyOctets, encapsulation_key, &MlKemSet::CiphertextOctets,
                              ciphertext, secret, kMlKemSecretOctets);
  if (set != nullptr && message.size != kMlKemSecretOctets) args.RangeError("a message has 32 octets");
  if (!args.ok()) return nullptr;
  napi_value result = nullptr;
  const bool is_done =
      Check(args, MlKemEncapsulate(*set, encapsulation_key.data, message.data, ciphertext.data, secret.data));
  if (args.ok()) napi_get_boolean(env, is_done, &result);
  return result;
}

// [decapsulation key, ciphertext, secret]
napi_value DecapsulateCall(napi_env env, napi_callback_info info) {
  Args args(env, info, 3);
  const Octets decapsulation_key = args.Uint8Array(0);
  const Octets ciphertext = args.Uint8Array(1);
  const Octets secret = args.Uint8Array(2);
  const MlKemSet* set = SetOf(args, &MlKemSet::DecapsulationKeyOctets, decapsulation_key, &MlKemSet::CiphertextOctets,
                              ciphertext, secret, kMlKemSecretOctets);
  if (set != nullptr) Check(args, MlKemDecapsulate(*set, decapsulation_key.data, ciphertext.data, secret.data));
  return nullptr;
}

}  // namespace

void DefineMlKem(napi_env env, napi_value exports) {
  Define(env, exports, "mlKemKeyPair", KeyPairCall);
  Define(env, exports, "mlKemEncapsulate", EncapsulateCall);
  Define(env, exports, "mlKemDecapsulate", DecapsulateCall);
}

}  // namespace tungate
