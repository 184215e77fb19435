// One lane's engine: whole batches against the SA table's slots and the key store.
#ifndef TUNGATE_ESP_ENGINE_H
#define TUNGATE_ESP_ENGINE_H

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "batch.h"
#include "esp_context.h"
#include "esp_provider.h"
#include "key_store.h"
#include "memfd.h"
#include "sa_table.h"
#include "tun_segment.h"

namespace tungate {

class EspEngine {
 public:
  // `provider` may be null.
  EspEngine(const EspProvider* provider, bool uses_vaes) : lane_(provider, uses_vaes) {}

  // False when the memory holds no SA table.
  bool Attach(std::shared_ptr<Mapping> table, std::shared_ptr<KeyStore> keys);

  // Seals from the cursor of the frames on until they end or `packets` is full; how many packets there are.
  uint32_t Seal(Batch& frames, uint32_t count, Batch& packets);
  void Open(Batch& batch, uint32_t count);
  // Numbers and authenticates whole packets as AH sees them; `frame` says where AH begins in each.
  void Authenticate(Batch& batch, uint32_t count);
  // How many contexts were freed because their key is gone.
  uint32_t ReleaseStale();

 private:
  EspContext* ContextFor(uint32_t slot, uint32_t direction);
  // Where the next packet goes.
  struct Output {
    uint32_t count = 0;
    size_t at = 0;
  };
  struct FrameSeal;
  static constexpr uint32_t kFrameDone = UINT32_MAX;

  uint8_t BeginFrame(const Batch& frames, uint32_t i, uint32_t first, FrameSeal* seal);
  EspWork WritePacket(const FrameSeal& seal, uint32_t k, uint64_t sequence, uint8_t* esp);
  uint32_t SealFrame(Batch& frames, uint32_t i, uint32_t first, Batch& packets, Output* output);
  void OpenOne(Batch& batch, uint32_t i);
  void FinishOpen(Batch& batch, uint32_t i, const EspContext& context, const EspWork& work);
  void Collect(EspContext* context, const EspWork& work, Batch& batch, uint32_t i, Batch* frames, uint32_t frame);
  void Flush();
  uint8_t AuthenticateOne(Batch& batch, uint32_t i);

  std::shared_ptr<Mapping> memory_;
  std::shared_ptr<KeyStore> keys_;
  SaTableView table_;
  // Outlives the contexts, which are made of it.
  EspLane lane_;
  std::vector<std::unique_ptr<EspContext>> contexts_;
  // Packets of one context that are done together; nothing between two calls.
  struct {
    EspContext* context = nullptr;
    Batch* batch = nullptr;
    // That they are sealed from; null while opening.
    Batch* frames = nullptr;
    size_t count = 0;
    EspWork work[EspManyCipher::kMax];
    uint32_t place[EspManyCipher::kMax];
    uint32_t frame[EspManyCipher::kMax];
  } many_;
};

}  // namespace tungate

#endif
