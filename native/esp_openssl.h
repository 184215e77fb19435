// ESP's transforms with the OpenSSL inside Node: every one of them, in any machine.
#ifndef TUNGATE_ESP_OPENSSL_H
#define TUNGATE_ESP_OPENSSL_H

#include <memory>

#include "esp_cipher.h"
#include "esp_shape.h"

namespace tungate {

// Null when OpenSSL refuses. `shape` is copied.
std::unique_ptr<EspCipher> MakeOpensslCipher(const SlotKeys& keys, const EspShape& shape);

}  // namespace tungate

#endif
