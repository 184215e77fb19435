// Ciphers that libipsec-mb does in single calls: AES-GCM, AES-GMAC and ChaCha20-Poly1305.
#ifndef TUNGATE_DIRECT_CIPHER_H
#define TUNGATE_DIRECT_CIPHER_H

#include <intel-ipsec-mb.h>

#include "../esp_cipher.h"
#include "../esp_shape.h"

namespace tungate {

EspCipher* MakeGcmCipher(IMB_MGR* manager, const SlotKeys& keys, const EspShape& shape);
EspCipher* MakeGmacCipher(IMB_MGR* manager, const SlotKeys& keys, const EspShape& shape);
EspCipher* MakeChaChaCipher(IMB_MGR* manager, const SlotKeys& keys, const EspShape& shape);

}  // namespace tungate

#endif
