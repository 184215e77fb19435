// One lane's engine: whole batches against the SA table's slots and the key store.
#ifndef TUNGATE_ESP_ENGINE_H
#define TUNGATE_ESP_ENGINE_H

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "batch.h"
#include "esp_context.h"
#include "key_store.h"
#include "memfd.h"
#include "sa_table.h"

namespace tungate {

class EspEngine {
 public:
  // False when the memory holds no SA table.
  bool Attach(std::shared_ptr<Mapping> table, std::shared_ptr<KeyStore> keys);

  void Seal(Batch& batch, uint32_t count);
  void Open(Batch& batch, uint32_t count);
  // How many contexts were freed because their key is gone.
  uint32_t ReleaseStale();

 private:
  EspContext* ContextFor(uint32_t slot, uint32_t direction);
  uint8_t SealOne(Batch& batch, uint32_t i);
  uint8_t OpenOne(Batch& batch, uint32_t i);

  std::shared_ptr<Mapping> memory_;
  std::shared_ptr<KeyStore> keys_;
  SaTableView table_;
  std::vector<std::unique_ptr<EspContext>> contexts_;
};

}  // namespace tungate

#endif
