// Implements ciphers by jobs (RFC 3602, RFC 3686, RFC 4309; RFC 2404, RFC 3566, RFC 4494, RFC 4868).
#include "job_cipher.h"

#include <openssl/crypto.h>

#include <cstring>

#include "../sa_table.h"

namespace tungate {

namespace {

constexpr size_t kRoundKeysMax = 15 * 16;
constexpr size_t kHashBlockMax = 128;
constexpr uint8_t kInnerPad = 0x36;
constexpr uint8_t kOuterPad = 0x5c;

struct AesKeys {
  alignas(64) uint8_t encrypt[kRoundKeysMax];
  alignas(64) uint8_t decrypt[kRoundKeysMax];

  ~AesKeys() {
    OPENSSL_cleanse(encrypt, sizeof encrypt);
    OPENSSL_cleanse(decrypt, sizeof decrypt);
  }
  void Expand(IMB_MGR* manager, const uint8_t* key, size_t length) {
    if (length == 16)
      IMB_AES_KEYEXP_128(manager, key, encrypt, decrypt);
    else if (length == 24)
      IMB_AES_KEYEXP_192(manager, key, encrypt, decrypt);
    else
      IMB_AES_KEYEXP_256(manager, key, encrypt, decrypt);
  }
};

// Jobs of one kind, which the library does side by side; each belongs to a piece of work.
class Jobs {
 public:
  explicit Jobs(IMB_MGR* manager) : manager_(manager) {}
  ~Jobs() { Finish(); }
  Jobs(const Jobs&) = delete;
  Jobs& operator=(const Jobs&) = delete;

  IMB_JOB* Next(EspWork* work) {
    work->is_done = false;
    IMB_JOB* job = IMB_GET_NEXT_JOB(manager_);
    job->user_data = work;
    return job;
  }
  // What Next gave, filled in.
  void Submit() {
    for (IMB_JOB* job = IMB_SUBMIT_JOB_NOCHECK(manager_); job != nullptr; job = IMB_GET_COMPLETED_JOB(manager_)) Take(job);
  }
  // Nothing is left in the manager then.
  void Finish() {
    while (IMB_JOB* job = IMB_FLUSH_JOB(manager_)) Take(job);
  }

 private:
  static void Take(const IMB_JOB* job) {
    static_cast<EspWork*>(job->user_data)->is_done = job->status == IMB_STATUS_COMPLETED;
  }

  IMB_MGR* const manager_;
};

// One packet is many with a count of one.
class JobCipher : public EspCipher, public EspManyCipher {
 public:
  bool Seal(uint8_t* esp, size_t length, uint64_t sequence) override {
    EspWork work = {esp, length, sequence, false};
    SealMany(&work, 1);
    return work.is_done;
  }
  bool Open(uint8_t* esp, size_t length, uint32_t sequence_high) override {
    EspWork work = {esp, length, uint64_t{sequence_high} << 32, false};
    OpenMany(&work, 1);
    return work.is_done;
  }
};

class CcmCipher final : public JobCipher {
 public:
  CcmCipher(IMB_MGR* manager, const SlotKeys& keys, const EspShape& shape) : shape_(shape), manager_(manager) {
    keys_.Expand(manager, keys.encr_key, shape.encr->key_length);
  }

  void SealMany(EspWork* work, size_t count) override {
    Jobs jobs(manager_);
    for (size_t i = 0; i < count; i++) {
      shape_.WriteCounterIv(work[i].esp, work[i].sequence);
      uint8_t* icv = shape_.data(work[i].esp) + work[i].length;
      Fill(jobs.Next(&work[i]), IMB_DIR_ENCRYPT, work[i], &scratch_[i], icv);
      jobs.Submit();
    }
  }

  void OpenMany(EspWork* work, size_t count) override {
    {
      Jobs jobs(manager_);
      for (size_t i = 0; i < count; i++) {
        Fill(jobs.Next(&work[i]), IMB_DIR_DECRYPT, work[i], &scratch_[i], scratch_[i].icv);
        jobs.Submit();
      }
    }
    for (size_t i = 0; i < count; i++) {
      const uint8_t* sent = shape_.data(work[i].esp) + work[i].length;
      work[i].is_done = work[i].is_done && CRYPTO_memcmp(scratch_[i].icv, sent, shape_.icv_length) == 0;
    }
  }

 private:
  // What a job points at until it is done.
  struct Scratch {
    uint8_t nonce[kNonceMax];
    uint8_t aad[16];
    uint8_t icv[kIcvMax];
  };

  void Fill(IMB_JOB* job, IMB_CIPHER_DIRECTION direction, const EspWork& work, Scratch* scratch, uint8_t* icv) {
    job->cipher_direction = direction;
    job->cipher_mode = IMB_CIPHER_CCM;
    job->hash_alg = IMB_AUTH_AES_CCM;
    job->chain_order = direction == IMB_DIR_ENCRYPT ? IMB_ORDER_HASH_CIPHER : IMB_ORDER_CIPHER_HASH;
    job->enc_keys = keys_.encrypt;
    job->dec_keys = keys_.encrypt;
    job->key_len_in_bytes = shape_.encr->key_length;
    job->iv = scratch->nonce;
    job->iv_len_in_bytes = shape_.Nonce(work.esp, work.sequence_high(), scratch->nonce);
    job->u.CCM.aad = scratch->aad;
    job->u.CCM.aad_len_in_bytes = shape_.Aad(work.esp, work.sequence_high(), scratch->aad);
    job->src = shape_.data(work.esp);
    job->dst = shape_.data(work.esp);
    job->cipher_start_src_offset_in_bytes = 0;
    job->msg_len_to_cipher_in_bytes = work.length;
    job->hash_start_src_offset_in_bytes = 0;
    job->msg_len_to_hash_in_bytes = work.length;
    job->auth_tag_output = icv;
    job->auth_tag_output_len_in_bytes = shape_.icv_length;
  }

  AesKeys keys_;
  const EspShape shape_;
  IMB_MGR* const manager_;
  Scratch scratch_[kMax];
};

// The key of a MAC as the library wants it.
struct MacKey {
  IMB_HASH_ALG algorithm = IMB_AUTH_NULL;
  alignas(64) uint8_t inner[64];
  alignas(64) uint8_t outer[64];
  AesKeys aes;
  alignas(16) uint8_t whole[16];
  alignas(16) uint8_t partial[16];

  ~MacKey() {
    OPENSSL_cleanse(inner, sizeof inner);
    OPENSSL_cleanse(outer, sizeof outer);
    OPENSSL_cleanse(whole, sizeof whole);
    OPENSSL_cleanse(partial, sizeof partial);
  }

  void Prepare(IMB_MGR* manager, const IntegTransform& integ, const uint8_t* key) {
    switch (integ.mode) {
      case MacMode::kSha1:
        return PrepareHmac(IMB_AUTH_HMAC_SHA_1, manager->sha1_one_block, 64, key, integ.key_length);
      case MacMode::kSha256:
        return PrepareHmac(IMB_AUTH_HMAC_SHA_256, manager->sha256_one_block, 64, key, integ.key_length);
      case MacMode::kSha384:
        return PrepareHmac(IMB_AUTH_HMAC_SHA_384, manager->sha384_one_block, 128, key, integ.key_length);
      case MacMode::kSha512:
        return PrepareHmac(IMB_AUTH_HMAC_SHA_512, manager->sha512_one_block, 128, key, integ.key_length);
      case MacMode::kAesXcbc:
        algorithm = IMB_AUTH_AES_XCBC;
        IMB_AES_XCBC_KEYEXP(manager, key, aes.encrypt, whole, partial);
        return;
      case MacMode::kAesCmac:
        algorithm = IMB_AUTH_AES_CMAC;
        aes.Expand(manager, key, integ.key_length);
        IMB_AES_CMAC_SUBKEY_GEN_128(manager, aes.encrypt, whole, partial);
        return;
      case MacMode::kAesGmac:
        return;
    }
  }

  void Fill(IMB_JOB* job) const {
    job->hash_alg = algorithm;
    if (algorithm == IMB_AUTH_AES_XCBC) {
      job->u.XCBC._k1_expanded = reinterpret_cast<const uint32_t*>(aes.encrypt);
      job->u.XCBC._k2 = whole;
      job->u.XCBC._k3 = partial;
    } else if (algorithm == IMB_AUTH_AES_CMAC) {
      job->u.CMAC._key_expanded = aes.encrypt;
      job->u.CMAC._skey1 = whole;
      job->u.CMAC._skey2 = partial;
    } else {
      job->u.HMAC._hashed_auth_key_xor_ipad = inner;
      job->u.HMAC._hashed_auth_key_xor_opad = outer;
    }
  }

 private:
  // The state of the hash behind each padded key (RFC 2104 section 4).
  void PrepareHmac(IMB_HASH_ALG hmac, hash_one_block_t hash, size_t block, const uint8_t* key, size_t length) {
    alignas(64) uint8_t padded[kHashBlockMax];
    algorithm = hmac;
    for (size_t i = 0; i < block; i++) padded[i] = static_cast<uint8_t>((i < length ? key[i] : 0) ^ kInnerPad);
    hash(padded, inner);
    for (size_t i = 0; i < block; i++) padded[i] ^= kInnerPad ^ kOuterPad;
    hash(padded, outer);
    OPENSSL_cleanse(padded, sizeof padded);
  }
};

class MacCipher final : public JobCipher {
 public:
  MacCipher(IMB_MGR* manager, const SlotKeys& keys, const EspShape& shape) : shape_(shape), manager_(manager) {
    if (shape.encr->mode != CipherMode::kNull) keys_.Expand(manager, keys.encr_key, shape.encr->key_length);
    if (shape.encr->mode == CipherMode::kAesCbc) iv_keys_.Expand(manager, keys.iv_key, sizeof keys.iv_key);
    mac_.Prepare(manager, *shape.integ, keys.integ_key);
  }

  void SealMany(EspWork* work, size_t count) override {
    Jobs jobs(manager_);
    for (size_t i = 0; i < count; i++) {
      auto [esp, length, sequence, is_done] = work[i];
      WriteIv(esp, sequence);
      IMB_JOB* job = jobs.Next(&work[i]);
      FillCipher(job, IMB_DIR_ENCRYPT, esp, length, scratch_[i].start);
      FillMac(job, esp, length, work[i].sequence_high(), shape_.data(esp) + length);
      job->chain_order = IMB_ORDER_CIPHER_HASH;
      jobs.Submit();
    }
  }

  // Two rounds, so that nothing is decrypted before it is authentic [ESP-12].
  void OpenMany(EspWork* work, size_t count) override {
    Authenticate(work, count);
    if (shape_.encr->mode == CipherMode::kNull) return;
    Jobs jobs(manager_);
    for (size_t i = 0; i < count; i++) {
      if (!work[i].is_done) continue;
      IMB_JOB* job = jobs.Next(&work[i]);
      FillCipher(job, IMB_DIR_DECRYPT, work[i].esp, work[i].length, scratch_[i].start);
      job->hash_alg = IMB_AUTH_NULL;
      job->chain_order = IMB_ORDER_CIPHER_HASH;
      jobs.Submit();
    }
  }

 private:
  // What a job points at until it is done.
  struct Scratch {
    uint8_t start[kIvMax];
    uint8_t sent[kIcvMax];
    uint8_t icv[kIcvMax];
  };

  // Those are done whose check value is what came with them.
  void Authenticate(EspWork* work, size_t count) {
    {
      Jobs jobs(manager_);
      for (size_t i = 0; i < count; i++) {
        Scratch& scratch = scratch_[i];
        memcpy(scratch.sent, shape_.data(work[i].esp) + work[i].length, shape_.icv_length);
        IMB_JOB* job = jobs.Next(&work[i]);
        job->cipher_mode = IMB_CIPHER_NULL;
        job->cipher_direction = IMB_DIR_DECRYPT;
        job->chain_order = IMB_ORDER_HASH_CIPHER;
        job->src = work[i].esp;
        FillMac(job, work[i].esp, work[i].length, work[i].sequence_high(), scratch.icv);
        jobs.Submit();
      }
    }
    for (size_t i = 0; i < count; i++)
      work[i].is_done =
          work[i].is_done && CRYPTO_memcmp(scratch_[i].icv, scratch_[i].sent, shape_.icv_length) == 0;
    OPENSSL_cleanse(scratch_, count * sizeof *scratch_);
  }

  void WriteIv(uint8_t* esp, uint64_t sequence) {
    if (shape_.encr->mode != CipherMode::kAesCbc) return shape_.WriteCounterIv(esp, sequence);
    // Of zeros, CFB's one block is the cipher alone: nobody without the key can tell the next one [ESP-21].
    constexpr uint8_t kZero[kIvMax] = {};
    uint8_t counter[kIvMax] = {};
    WriteBig64(counter, sequence);
    IMB_AES128_CFB_ONE(manager_, esp + kEspHeader, kZero, counter, iv_keys_.encrypt, kIvMax);
  }

  void FillCipher(IMB_JOB* job, IMB_CIPHER_DIRECTION direction, uint8_t* esp, size_t length, uint8_t* start) {
    job->cipher_direction = direction;
    job->src = esp;
    job->dst = shape_.data(esp);
    job->cipher_start_src_offset_in_bytes = kEspHeader + shape_.encr->iv_length;
    job->msg_len_to_cipher_in_bytes = length;
    job->enc_keys = keys_.encrypt;
    job->dec_keys = keys_.decrypt;
    job->key_len_in_bytes = shape_.encr->key_length;
    job->iv = start;
    job->iv_len_in_bytes = kIvMax;
    switch (shape_.encr->mode) {
      case CipherMode::kAesCbc:
        job->cipher_mode = IMB_CIPHER_CBC;
        memcpy(start, esp + kEspHeader, kIvMax);
        return;
      case CipherMode::kAesCtr:
        job->cipher_mode = IMB_CIPHER_CNTR;
        shape_.CounterBlock(esp, start);
        return;
      default:
        job->cipher_mode = IMB_CIPHER_NULL;
    }
  }

  // With ESN the high half lies where the ICV goes, so that all that is covered is in one piece (RFC 4303 section 2.2.1).
  void FillMac(IMB_JOB* job, uint8_t* esp, size_t length, uint32_t sequence_high, uint8_t* icv) {
    size_t covered = kEspHeader + shape_.encr->iv_length + length;
    if (shape_.esn) {
      WriteBig32(esp + covered, sequence_high);
      covered += 4;
    }
    mac_.Fill(job);
    job->hash_start_src_offset_in_bytes = 0;
    job->msg_len_to_hash_in_bytes = covered;
    job->auth_tag_output = icv;
    job->auth_tag_output_len_in_bytes = shape_.icv_length;
  }

  AesKeys keys_;
  AesKeys iv_keys_;
  MacKey mac_;
  const EspShape shape_;
  IMB_MGR* const manager_;
  Scratch scratch_[kMax];
};

// Null for transforms that the library has not.
JobCipher* MakeJobCipher(IMB_MGR* manager, const SlotKeys& keys, const EspShape& shape) {
  switch (shape.encr->mode) {
    case CipherMode::kAesCcm:
      // The library has no CCM with keys of 192 bits.
      return shape.encr->key_length == 24 ? nullptr : new CcmCipher(manager, keys, shape);
    case CipherMode::kNull:
    case CipherMode::kAesCbc:
    case CipherMode::kAesCtr:
      // AH's GMAC is OpenSSL's.
      return shape.integ->mode == MacMode::kAesGmac ? nullptr : new MacCipher(manager, keys, shape);
    default:
      return nullptr;
  }
}

}  // namespace

EspCipher* MakeSingleJobCipher(IMB_MGR* manager, const SlotKeys& keys, const EspShape& shape) {
  return MakeJobCipher(manager, keys, shape);
}

EspManyCipher* MakeManyJobCipher(IMB_MGR* manager, const SlotKeys& keys, const EspShape& shape) {
  return MakeJobCipher(manager, keys, shape);
}

}  // namespace tungate
