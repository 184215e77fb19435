// Ciphers that libipsec-mb does by jobs: AES-CCM, and AES-CBC, AES-CTR or no cipher with a MAC.
#ifndef TUNGATE_JOB_CIPHER_H
#define TUNGATE_JOB_CIPHER_H

#include <intel-ipsec-mb.h>

#include "../esp_cipher.h"
#include "../esp_shape.h"

namespace tungate {

// Null for transforms that the library has not.
EspCipher* MakeSingleJobCipher(IMB_MGR* manager, const SlotKeys& keys, const EspShape& shape);
EspManyCipher* MakeManyJobCipher(IMB_MGR* manager, const SlotKeys& keys, const EspShape& shape);

}  // namespace tungate

#endif
