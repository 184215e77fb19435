// Implements the key store.
#include "key_store.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "state.h"

namespace tungate {

namespace {

constexpr uint32_t kStoreMagic = 0x5447534b;
constexpr uint32_t kStoreVersion = 1;
constexpr size_t kStoreHeader = 4096;
constexpr size_t kRecordStride = 192;
static_assert(sizeof(KeyRecord) <= kRecordStride && kRecordStride % alignof(KeyRecord) == 0);

struct StoreHeader {
  uint32_t magic;
  uint32_t version;
  uint32_t slots;
  uint32_t stride;
};

// One thread writes. A writer that was killed left the version odd, and so it is for the next one.
void BeginWrite(KeyRecord* to) {
  to->version.store(to->version.load(std::memory_order_relaxed) | 1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

void EndWrite(KeyRecord* to) {
  to->version.store(to->version.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

size_t StoreSize(uint32_t slots) { return kStoreHeader + slots * kRecordStride; }

}  // namespace

void SlotKeys::Wipe() { OPENSSL_cleanse(this, sizeof *this); }

KeyStore::KeyStore(std::shared_ptr<Mapping> mapping) : mapping_(std::move(mapping)) {
  slot_count_ = reinterpret_cast<const StoreHeader*>(mapping_->data())->slots;
  madvise(mapping_->data(), mapping_->size(), MADV_DONTDUMP);
  // Best effort: an unprivileged process may have no allowance for locked memory.
  (void)mlock(mapping_->data(), mapping_->size());
}

KeyRecord* KeyStore::record(uint32_t slot) const {
  return reinterpret_cast<KeyRecord*>(mapping_->data() + kStoreHeader + size_t{slot} * kRecordStride);
}

int KeyStore::Create(uint32_t slots) {
  if (slots < 1 || slots > sa_table::kCountMax) return -EINVAL;
  const int fd = CreateMemory("tungate-keys", StoreSize(slots));
  if (fd < 0) return fd;
  const StoreHeader header = {kStoreMagic, kStoreVersion, slots, kRecordStride};
  if (pwrite(fd, &header, sizeof header, 0) != sizeof header) {
    const int error = errno != 0 ? errno : EIO;
    close(fd);
    return -error;
  }
  return fd;
}

int KeyStore::Open(int fd, std::shared_ptr<KeyStore>* store) {
  std::shared_ptr<Mapping> mapping;
  const int result = MapMemory(fd, &mapping);
  if (result < 0) return result;
  StoreHeader header;
  if (mapping->size() < kStoreHeader) return -EINVAL;
  memcpy(&header, mapping->data(), sizeof header);
  if (header.magic != kStoreMagic || header.version != kStoreVersion || header.stride != kRecordStride ||
      header.slots < 1 || header.slots > sa_table::kCountMax || StoreSize(header.slots) > mapping->size())
    return -EINVAL;
  store->reset(new KeyStore(std::move(mapping)));
  return 0;
}

int KeyStore::Install(const SaTableView& table, uint32_t slot, const uint8_t* encr, size_t encr_length,
                      const uint8_t* integ, size_t integ_length) {
  using namespace sa_table;
  uint8_t* sa = table.slot(slot);
  if (sa == nullptr || slot >= slot_count_) return -EINVAL;
  const auto field = [sa](size_t at) { return SaTableView::Load32(sa + at); };
  const EncrTransform* cipher = FindEncr(field(kSlotEncr), field(kSlotEncrKeyBits));
  const uint32_t integ_id = field(kSlotInteg);
  const IntegTransform* mac = FindInteg(integ_id);
  if (cipher == nullptr || (integ_id != kIntegNone && mac == nullptr)) return -ENOTSUP;
  const bool is_aead = cipher->icv_length != 0;
  // Exactly one of the two authenticates [ESP-24] [ENC-09].
  if (is_aead == (mac != nullptr)) return -ENOTSUP;
  if (mac != nullptr && mac->iv_length != 0 && cipher->mode != CipherMode::kNull) return -ENOTSUP;
  if (encr_length != cipher->key_length + cipher->salt_length) return -EINVAL;
  if (integ_length != (mac == nullptr ? 0 : mac->key_length)) return -EINVAL;
  const size_t block = cipher->block_size < 4 ? 4 : cipher->block_size;
  if (field(kSlotIvLength) != cipher->iv_length || field(kSlotBlockSize) != block ||
      field(kSlotIcvLength) != (mac == nullptr ? cipher->icv_length : mac->icv_length))
    return -EINVAL;
  if (field(kSlotDirection) > kDirectionOutbound || field(kSlotEsn) > 1) return -EINVAL;

  SlotKeys keys = {};
  keys.encr = cipher->id;
  keys.key_bits = cipher->key_bits;
  keys.integ = integ_id;
  keys.direction = field(kSlotDirection);
  keys.esn = field(kSlotEsn);
  if (encr_length > 0) memcpy(keys.encr_key, encr, encr_length);
  if (integ_length > 0) memcpy(keys.integ_key, integ, integ_length);
  if (RAND_priv_bytes(keys.iv_key, sizeof keys.iv_key) != 1) {
    keys.Wipe();
    return -EIO;
  }
  KeyRecord* to = record(slot);
  BeginWrite(to);
  to->keys = keys;
  to->is_present = 1;
  EndWrite(to);
  keys.Wipe();
  std::atomic_ref<uint32_t>(*reinterpret_cast<uint32_t*>(sa + kSlotKeyGeneration))
      .fetch_add(1, std::memory_order_acq_rel);
  return 0;
}

int KeyStore::Wipe(uint32_t slot) {
  if (slot >= slot_count_) return -EINVAL;
  KeyRecord* to = record(slot);
  BeginWrite(to);
  to->is_present = 0;
  to->keys.Wipe();
  EndWrite(to);
  return 0;
}

bool KeyStore::Read(uint32_t slot, SlotKeys* keys, uint32_t* version) const {
  const KeyRecord* from = record(slot);
  const uint32_t before = from->version.load(std::memory_order_acquire);
  if (before % 2 != 0 || from->is_present != 1) return false;
  *keys = from->keys;
  std::atomic_thread_fence(std::memory_order_acquire);
  if (from->version.load(std::memory_order_relaxed) != before) {
    keys->Wipe();
    return false;
  }
  *version = before;
  return true;
}

namespace {

napi_value CreateKeyStore(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  const uint32_t slots = args.Uint32(0);
  if (!args.ok()) return nullptr;
  return Number(env, KeyStore::Create(slots));
}

napi_value OpenKeyStore(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  const int fd = args.Int32(0);
  if (!args.ok()) return nullptr;
  std::shared_ptr<KeyStore> store;
  const int result = KeyStore::Open(fd, &store);
  if (result < 0) return Number(env, result);
  return Number(env, State::Of(env).key_stores.Add(std::move(store)));
}

napi_value CloseKeyStore(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  const uint32_t handle = args.Uint32(0);
  if (args.ok()) State::Of(env).key_stores.Remove(handle);
  return nullptr;
}

napi_value InstallKeys(napi_env env, napi_callback_info info) {
  Args args(env, info, 5);
  KeyStore* store = Find(args, State::Of(env).key_stores, 0);
  Mapping* memory = Find(args, State::Of(env).memories, 1);
  const uint32_t slot = args.Uint32(2);
  const Octets encr = args.Uint8Array(3);
  const Octets integ = args.Uint8Array(4);
  if (!args.ok()) return nullptr;
  SaTableView table;
  if (!table.Attach(memory->data(), memory->size())) return Number(env, -EINVAL);
  return Number(env, store->Install(table, slot, encr.data, encr.size, integ.data, integ.size));
}

napi_value WipeKeys(napi_env env, napi_callback_info info) {
  Args args(env, info, 2);
  KeyStore* store = Find(args, State::Of(env).key_stores, 0);
  const uint32_t slot = args.Uint32(1);
  if (!args.ok()) return nullptr;
  return Number(env, store->Wipe(slot));
}

napi_value HoldsKeys(napi_env env, napi_callback_info info) {
  Args args(env, info, 2);
  KeyStore* store = Find(args, State::Of(env).key_stores, 0);
  const uint32_t slot = args.Uint32(1);
  if (!args.ok()) return nullptr;
  napi_value result = nullptr;
  napi_get_boolean(env, store->Holds(slot), &result);
  return result;
}

}  // namespace

void DefineKeyStore(napi_env env, napi_value exports) {
  Define(env, exports, "createKeyStore", CreateKeyStore);
  Define(env, exports, "openKeyStore", OpenKeyStore);
  Define(env, exports, "closeKeyStore", CloseKeyStore);
  Define(env, exports, "installKeys", InstallKeys);
  Define(env, exports, "wipeKeys", WipeKeys);
  Define(env, exports, "holdsKeys", HoldsKeys);
}

}  // namespace tungate
