// AES-GCM by our own code for processors with VAES, where it is faster than the libraries (RFC 4106, RFC 8750).
#ifndef TUNGATE_ESP_VAES_H
#define TUNGATE_ESP_VAES_H

#include <memory>

#include "esp_cipher.h"
#include "esp_shape.h"

namespace tungate {

// Null for other transforms, and on other processors. `shape` is copied.
std::unique_ptr<EspCipher> MakeVaesCipher(const SlotKeys& keys, const EspShape& shape);

}  // namespace tungate

#endif
